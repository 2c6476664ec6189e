from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlbench.serving.requests.records import (
    BEGIN_BYTES,
    END_BYTES,
    LARGEST_BODY,
    Kept,
    block_of,
    entries_of,
    is_whole,
    payload_size,
    payload_size_before,
)
from tests.serving.requests.kept import kept

lengths = st.none() | st.integers(0, 2**31 - 1)
entries = st.builds(
    Kept,
    id=st.text(max_size=40),
    at_ns=st.integers(0, 2**62),
    model=st.text(max_size=10),
    version=st.text(max_size=5),
    status=st.integers(100, 599),
    took=st.floats(0, 1e6),
    body=st.binary(max_size=300),
    header_length=lengths,
    reply=st.binary(max_size=300),
    reply_header_length=lengths,
    is_rows=st.booleans(),
)


def payload(block: bytes) -> bytes:
    return block[BEGIN_BYTES : len(block) - END_BYTES]


@given(st.lists(entries, max_size=8))
def test_a_block_gives_back_what_was_kept(given_entries: list[Kept]) -> None:
    block = block_of(given_entries)
    assert list(entries_of(payload(block))) == given_entries
    size = len(payload(block))
    assert payload_size(block[:BEGIN_BYTES]) == size
    assert payload_size_before(block[-END_BYTES:]) == size
    assert is_whole(block[:BEGIN_BYTES], payload(block))


@given(st.lists(entries, min_size=1, max_size=3), st.data())
def test_a_changed_byte_is_seen(given_entries: list[Kept], data: st.DataObject) -> None:
    inner = bytearray(payload(block_of(given_entries)))
    at = data.draw(st.integers(0, len(inner) - 1))
    inner[at] ^= data.draw(st.integers(1, 255))
    assert not is_whole(block_of(given_entries), bytes(inner))


def test_inputs_that_are_not_to_be_logged_are_nowhere_in_the_block() -> None:
    block = block_of([kept(body=b"secret")], with_inputs=False)
    assert b"secret" not in block
    (found,) = entries_of(payload(block))
    assert (found.body, found.without_body, found.is_body_cut) == (b"", True, False)
    assert found.reply == kept().reply


def test_what_is_too_long_is_left_out_and_says_so() -> None:
    long = b"x" * (LARGEST_BODY + 1)
    (found,) = entries_of(payload(block_of([kept(body=long, reply=long)])))
    assert (found.body, found.reply) == (b"", b"")
    assert (found.is_body_cut, found.is_reply_cut, found.without_body) == (True, True, False)


def test_an_absurd_id_is_cut() -> None:
    (found,) = entries_of(payload(block_of([kept(id="a" * 100_000)])))
    assert found.id == "a" * 0xFFFF
