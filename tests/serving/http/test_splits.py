"""However the bytes come, the answers are the same; whatever bytes come, it refuses or closes."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Awaitable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlbench.serving.http.connection import Connection
from mlbench.serving.http.guard import Guard
from mlbench.serving.http.server import HttpServer
from mlbench.serving.messages import Reply, Request
from tests.serving.http.talking import CLOSE, SMALL, TOKEN, described, get, post


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self

    def setsockopt(self, *_: int) -> None:
        """As the socket's."""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.is_closed = True

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        """What is fed comes nevertheless."""

    def resume_reading(self) -> None:
        """As above."""


async def later(request: Request) -> Reply:
    await asyncio.sleep(0)
    return described(request)


def answer(request: Request) -> Reply | Awaitable[Reply]:
    return later(request) if request.path == "/later" else described(request)


def talk(parts: list[bytes]) -> Wire:
    """What one connection answers to bytes that come in these parts."""

    async def fed() -> Wire:
        server = HttpServer(answer, Guard("127.0.0.1", 1, TOKEN), SMALL)
        server.date = b""
        connection, wire = Connection(server), Wire()
        connection.connection_made(wire)
        for part in parts:
            connection.data_received(part)
            await asyncio.sleep(0)
        while connection._pending is not None or connection._queue:
            await asyncio.sleep(0)
        return wire

    return asyncio.run(fed())


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


bodies = st.binary(max_size=60)
paths = st.sampled_from(["/x", "/later", "/a%20b?c=d"])
requests = st.one_of(
    st.builds(get, paths),
    st.builds(post, paths, bodies),
    st.builds(
        lambda path, body: post(path, gzip.compress(body), "Content-Encoding: gzip"), paths, bodies
    ),
    st.builds(
        lambda path, body, size: (
            get(path, "Transfer-Encoding: chunked", method="POST") + chunked(body, size)
        ),
        paths,
        bodies,
        st.integers(1, 20),
    ),
    st.builds(
        lambda path, body: post(path, body, "Upgrade: h2c", "Connection: upgrade"), paths, bodies
    ),
    st.builds(lambda path, body: post(path, body, "Accept: " + "a" * 90), paths, bodies),
    st.just(b"\r\n\r\n" + get("/x")),
    st.just(post("/x", b"", "Inference-Header-Content-Length: 1")),
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.one_of(requests, st.tuples(requests).map(lambda one: one[0] * 3)), max_size=5),
    st.booleans(),
    st.data(),
)
def test_any_split_of_a_pipeline_gives_the_same_answers(
    pipeline: list[bytes], closes: bool, data: st.DataObject
) -> None:
    whole = b"".join(pipeline) + (get("/x", CLOSE) if closes else b"")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = b"".join(talk([each]).written for each in pipeline)
    if closes:
        expected += talk([get("/x", CLOSE)]).written
    assert talk([part for part in parts if part]).written == expected
    assert (
        talk([each for each in pipeline if each] + [get("/x", CLOSE)] * closes).written == expected
    )
    assert talk([whole[place : place + 1] for place in range(len(whole))]).written == expected


STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")
fragments = st.sampled_from(
    [
        b"GET ",
        b"POST ",
        b"CONNECT ",
        b"/x",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"\r\n",
        b"\n",
        b":",
        b"Content-Length: 1",
        b"Content-Length: 99999999999",
        b"Transfer-Encoding: chunked\r\n",
        b"Upgrade: h2c\r\nConnection: upgrade\r\n",
        b"Expect: 100-continue\r\n",
        b"Content-Encoding: gzip\r\n",
        b"0\r\n\r\n",
        b"\x00",
        b"\xff",
        b"PRI * HTTP/2.0\r\n\r\n",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=50), fragments), max_size=20))
@example([b"CONNECT / HTTP/1.1\r\nUpgrade: h2c\r\n", b"\r\n", b"abc"])
def test_random_bytes_are_refused_and_reach_nobody(parts: list[bytes]) -> None:
    """No Host among them names this machine, so that no request of HTTP/1.1 may pass."""
    parts = [part for part in parts if part and b"HTTP/1.0" not in part]
    wire = talk(parts)
    statuses = [int(status) for status in STATUS.findall(wire.written)]
    assert all(400 <= status < 500 or status in (501, 505) for status in statuses)
    assert len(statuses) <= 1
    assert wire.is_closed == bool(statuses)
