"""Compressed bodies, within their bound."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.serving.http.encodings import accepted, deflated, inflate, read_encoding
from mlbench.serving.refusals import RequestError

LIMIT = 4096


def raw_deflate(body: bytes) -> bytes:
    writer = zlib.compressobj(wbits=-15)
    return writer.compress(body) + writer.flush()


WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "raw": raw_deflate,
}


def coding(writer: str) -> str:
    return "gzip" if writer == "gzip" else "deflate"


@settings(deadline=None)
@given(st.sampled_from(sorted(WRITERS)), st.binary(max_size=2 * LIMIT))
def test_what_was_compressed_comes_back_or_is_too_long(writer: str, body: bytes) -> None:
    packed = WRITERS[writer](body)
    if len(body) <= LIMIT:
        assert inflate(packed, coding(writer), LIMIT) == body
    else:
        with pytest.raises(RequestError, match="larger than 4 KiB when decompressed") as refused:
            inflate(packed, coding(writer), LIMIT)
        assert refused.value.status == 413


@settings(deadline=None)
@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=2 * LIMIT))
def test_what_is_written_can_be_read(name: str, body: bytes) -> None:
    assert inflate(deflated(body, name), name, len(body)) == body


@settings(deadline=None)
@given(st.sampled_from(sorted(WRITERS)), st.binary(min_size=1), st.data())
def test_a_stream_cut_short_is_refused(writer: str, body: bytes, data: st.DataObject) -> None:
    packed = WRITERS[writer](body)
    end = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(RequestError) as refused:
        inflate(packed[:end], coding(writer), LIMIT)
    assert refused.value.status == 400


@settings(deadline=None)
@given(st.sampled_from(sorted(WRITERS)), st.binary(min_size=1, max_size=20))
def test_nothing_may_follow(writer: str, more: bytes) -> None:
    with pytest.raises(RequestError, match="goes on after the end") as refused:
        inflate(WRITERS[writer](b"body") + more, coding(writer), LIMIT)
    assert refused.value.status == 400


@settings(deadline=None)
@given(st.sampled_from(["gzip", "deflate"]), st.binary())
def test_garbage_is_refused_or_read(name: str, garbage: bytes) -> None:
    try:
        status = 200 if len(inflate(garbage, name, LIMIT)) <= LIMIT else 0
    except RequestError as refused:
        status = refused.status
    assert status in (200, 400, 413)


def test_a_bomb_takes_no_more_memory_than_its_limit() -> None:
    bomb = gzip.compress(bytes(200_000_000), 1)
    tracemalloc.start()
    with pytest.raises(RequestError) as refused:
        inflate(bomb, "gzip", 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", ""),
        (b"gzip", "gzip"),
        (b"deflate", "deflate"),
        (b"deflate, gzip", "gzip"),
        (b"gzip;q=0.5, deflate", "deflate"),
        (b"GZIP ; Q=0.1", "gzip"),
        (b"gzip;q=0", ""),
        (b"gzip;q=nonsense", ""),
        (b"gzip;q=nan, deflate;q=0", ""),
        (b"br, zstd, *", ""),
        (b"identity", ""),
        (b"x-gzip", "gzip"),
    ],
)
def test_what_a_client_accepts(value: bytes, expected: str) -> None:
    assert accepted(value) == expected


def test_only_single_known_encodings_are_read() -> None:
    assert [read_encoding(value) for value in (b"", b"identity", b" GZip ", b"x-gzip")] == [
        "",
        "",
        "gzip",
        "gzip",
    ]
    for value in (b"br", b"gzip, gzip", b"\xff"):
        with pytest.raises(RequestError, match="send gzip or deflate") as refused:
            read_encoding(value)
        assert refused.value.status == 501
