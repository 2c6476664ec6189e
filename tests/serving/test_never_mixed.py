"""Batches over HTTP never mix answers: each request is recognisable in its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest

from mlbench.serving.tallies import read_tallies
from tests.serving.running.shelf import Shelf, negating

if TYPE_CHECKING:
    from tests.serving.conftest import Sandbox

# float32 has every whole number up to 2 to the 24th, so that no two requests are alike.
REQUESTS = int(os.environ.get("MLBENCH_RECOGNISED", "100000"))
CONNECTIONS = 64
# What makes the server gather: calls that take long however few rows they have.
TIMINGS = {"1": 5.0, "2": 5.1, "4": 5.2, "8": 5.3, "16": 5.4, "32": 5.5}


class Client(asyncio.Protocol):
    """A connection that asks for one number after another, and counts answers to another."""

    def __init__(self, numbers: Iterator[int], done: asyncio.Future[int]) -> None:
        self._numbers = numbers
        self._done = done
        self._wrong = 0
        self._buffer = b""
        self._sent = np.zeros((0, 0), np.float32)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, _, body = self._buffer.partition(b"\r\n\r\n")
        said = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(said.get(b"content-length", b"1")):
            return
        assert head.startswith(b"HTTP/1.1 200 "), self._buffer
        self._buffer = b""
        length = said.get(b"inference-header-content-length")
        self._wrong += not np.array_equal(values_in(body, length, self._sent.shape), -self._sent)
        self._ask()

    def _ask(self) -> None:
        number = next(self._numbers)
        if number >= REQUESTS:
            self._done.set_result(self._wrong)
            self._transport.close()
            return
        self._sent = np.full((1 + number % 3, 1 + number // 3 % 2), number, np.float32)
        self._transport.write(request_of(self._sent, is_binary=number % 5 == 0))


def request_of(
    rows: np.ndarray[tuple[int, int], np.dtype[np.float32]], *, is_binary: bool
) -> bytes:
    """An inference request as bytes on the wire, asked to answer as it asks."""
    tensor: dict[str, object] = {"name": "x", "shape": rows.shape, "datatype": "FP32"}
    raw, wanted = b"", {"name": "y", "parameters": {"binary_data": is_binary}}
    if is_binary:
        raw = rows.tobytes()
        tensor["parameters"] = {"binary_data_size": len(raw)}
    else:
        tensor["data"] = rows.ravel().tolist()
    body = orjson.dumps({"inputs": [tensor], "outputs": [wanted]})
    length = f"Inference-Header-Content-Length: {len(body)}\r\n" if is_binary else ""
    head = (
        "POST /v2/models/small/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"{length}Content-Length: {len(body) + len(raw)}\r\n\r\n"
    )
    return head.encode() + body + raw


def values_in(
    body: bytes, length: bytes | None, shape: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """What the server answered, as its shape says; anything else is wrong."""
    output = orjson.loads(body[: int(length)] if length else body)["outputs"][0]
    flat = np.frombuffer(body[int(length) :], np.float32) if length else output["data"]
    found = np.asarray(flat, np.float32).reshape(output["shape"])
    return found if found.shape == shape else np.full(shape, np.nan, np.float32)


@pytest.mark.long
async def test_each_of_a_hundred_thousand_requests_gets_its_own_answer(sandbox: Sandbox) -> None:
    sandbox.folder.mkdir(parents=True, exist_ok=True)
    sandbox.serve(Shelf(sandbox.folder).put(negating(), timings=TIMINGS))
    loop, numbers = asyncio.get_running_loop(), count()
    ends: list[asyncio.Future[int]] = [loop.create_future() for _ in range(CONNECTIONS)]
    for end in ends:
        await loop.create_connection(
            lambda end=end: Client(numbers, end),  # type: ignore[misc]
            "127.0.0.1",
            sandbox.environment.port,
        )
    assert sum(await asyncio.gather(*ends)) == 0
    (tally,) = read_tallies(sandbox.layout.counters("staging"))
    assert tally.answered == REQUESTS
    assert tally.calls < REQUESTS * 0.9, "batches of more than one request were made"
    assert sum(tally.batches[3:]) > 0
