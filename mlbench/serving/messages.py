"""A request as the worker's handlers get it from the connection, and the reply they give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mlbench.serving.refusals import RequestError

JSON = (b"content-type", b"application/json")


@dataclass(slots=True)
class Request:
    """One HTTP request, whole: its body is decompressed, its guard has let it pass.

    `path` is raw and without its query. `header_length` is the length of the JSON before binary
    tensors, None where the body has none; `accepts` are the compressions its client reads;
    `is_trusted` says that it brought the server's token. `received` is when its last byte came, by
    time.perf_counter.
    """

    method: str
    path: str
    body: bytes
    header_length: int | None = None
    accepts: str = ""
    is_trusted: bool = False
    received: float = 0.0
    query: str = ""


@dataclass(slots=True)
class Reply:
    """A status, a body, and the headers beside content-length and connection."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)


Answer = Callable[[Request], "Reply | Awaitable[Reply]"]
"""What a connection calls for each request; it never raises, and a coroutine may be cancelled where
its client went away."""

__all__ = ["JSON", "Answer", "Reply", "Request", "RequestError"]
