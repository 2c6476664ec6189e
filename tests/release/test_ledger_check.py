"""No byte of the ledger changes, no line goes, and no tail is cut, without being found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlbench.domain.release import DeployedModel, Deployment, LedgerEntry
from mlbench.release.ledger import chain, line_of
from mlbench.release.ledger_check import behind, fault_beside, fault_in
from tests.release.conftest import PASSED, SIGNATURE, entry


def linked(unplaced: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    placed: list[LedgerEntry] = []
    for item in unplaced:
        placed.append(chain(item, placed[-1] if placed else None))
    return placed


WHOLE = linked(
    [
        entry("promote", 1),
        replace(entry("promote", 1, "production"), gates=(PASSED,), reason="größer – 好"),
        replace(entry("promote", 2), forced=True, reason="the old one is wrong"),
        entry("rollback", 1),
    ]
)
DATA = b"".join(map(line_of, WHOLE))


def witness(length: int, environment: str = "staging") -> Deployment:
    """A Deployment that was written after so many entries."""
    mine = [item for item in WHOLE[:length] if item.environment == environment]
    return Deployment(
        environment,
        8101,
        mine[-1].sequence if mine else 0,
        length=length,
        head=WHOLE[length - 1].checksum if length else "",
    )


def test_a_whole_ledger_has_no_fault() -> None:
    assert fault_in(DATA, [witness(4), witness(2, "production"), witness(0, "new")]) is None
    assert fault_in(b"", []) is None
    assert fault_in(DATA + b'{"sequence": 5, "at"', [witness(4)]) is None, "torn, never told of"


@settings(max_examples=300)
@given(st.integers(0, len(DATA) - 1), st.integers(0, 255))
def test_any_edited_byte_is_found(place: int, byte: int) -> None:
    assume(DATA[place] != byte)
    edited = DATA[:place] + bytes([byte]) + DATA[place + 1 :]
    assert fault_in(edited, []) is not None


def test_every_byte_with_one_bit_turned_is_found() -> None:
    for place in range(len(DATA)):
        edited = DATA[:place] + bytes([DATA[place] ^ (1 << place % 8)]) + DATA[place + 1 :]
        assert fault_in(edited, []) is not None, place


@given(st.integers(0, len(DATA)), st.binary(min_size=1, max_size=3))
def test_any_byte_put_in_is_found(place: int, more: bytes) -> None:
    longer = DATA[:place] + more + DATA[place:]
    assume(not longer.startswith(DATA) or b"\n" in longer[len(DATA) :])
    assert fault_in(longer, [witness(4)]) is not None


@given(st.integers(0, len(DATA) - 1))
def test_a_tail_cut_anywhere_is_found_by_what_environments_were_told(length: int) -> None:
    fault = fault_in(DATA[:length], [witness(2, "production"), witness(4)])
    assert fault is not None
    assert "missing" in fault
    assert "bring .mlbench/ledger.jsonl back from a backup" in fault


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (0, "the whole ledger is missing: .mlbench/serving/staging.json was written after 4"),
        (2, "entries 3 to 4 are missing: .mlbench/serving/staging.json was written after 4"),
        (3, "entry 4 is missing: .mlbench/serving/staging.json was written after 4 entries; "),
    ],
)
def test_the_lost_entries_are_named(kept: int, sentence: str) -> None:
    fault = fault_in(b"".join(map(line_of, WHOLE[:kept])), [witness(4)])
    assert fault is not None
    assert fault.startswith(sentence)


def test_one_lost_entry_is_told_in_the_singular() -> None:
    fault = fault_in(b"", [witness(1)])
    assert fault is not None
    assert "after 1 entry; " in fault


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_line_taken_out_or_moved_is_found(gone: int) -> None:
    lines = list(map(line_of, WHOLE))
    missing = fault_in(b"".join(lines[:gone] + lines[gone + 1 :]), [])
    assert missing is not None
    assert missing.startswith(f"an entry before entry {gone + 1} is missing or out of order; ")
    lines[gone], lines[gone + 1] = lines[gone + 1], lines[gone]
    assert fault_in(b"".join(lines), []) is not None


def test_a_chain_written_anew_is_found_by_its_head() -> None:
    other = linked([replace(item, reason="") for item in WHOLE])
    data = b"".join(map(line_of, other))
    assert fault_in(data, []) is None
    fault = fault_in(data, [witness(4)])
    assert fault is not None
    assert fault.startswith("entry 4 is not the one that .mlbench/serving/staging.json")
    assert fault_beside(other, [witness(1)]) is None, "its first entry is the same"


def test_an_environment_that_is_behind_says_what_brings_it_on() -> None:
    assert behind(WHOLE, [witness(4), witness(2, "production")]) is None
    late = behind(WHOLE, [witness(2)])
    assert late == (
        "staging is behind the ledger: its last entry is 4, the environment was last told of 1; "
        "`mlbench serve staging` brings it up to date"
    )


def test_a_deployment_that_names_another_version_is_told() -> None:
    live = DeployedModel("digits", 1, "digest-001", "run-001", "model.onnx", SIGNATURE)
    assert behind(WHOLE, [replace(witness(4), models=(live,))]) is None
    edited = replace(live, version=2, digest="digest-002")
    told = behind(WHOLE, [replace(witness(4), models=(edited,))])
    assert told is not None
    assert "names version 2 of digits, the ledger says version 1" in told
    stray = behind(WHOLE, [replace(witness(4), models=(replace(live, name="cats"),))])
    assert stray is not None
    assert "the ledger says nothing" in stray
