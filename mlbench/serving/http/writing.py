"""A reply as bytes on the wire. Pure, but for a cache of heads."""

from __future__ import annotations

from http import HTTPStatus

from mlbench.serving.messages import Reply

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_CACHED_HEADS = 256
_heads: dict[tuple[int, tuple[tuple[bytes, bytes], ...]], bytes] = {}


def head_of(reply: Reply, date: bytes, connection: bytes) -> bytes:
    """The reply's head; `date` is a whole Date line, `connection` a whole line or nothing."""
    key = (reply.status, reply.headers)
    start = _heads.get(key)
    if start is None:
        start = _start(reply)
    return b"%b%bcontent-length: %d\r\n%b\r\n" % (start, date, len(reply.body), connection)


def _start(reply: Reply) -> bytes:
    status = HTTPStatus(reply.status)
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode())]
    lines += [b"%b: %b\r\n" % header for header in reply.headers]
    start = b"".join(lines)
    # Some headers' values differ with every reply.
    if len(_heads) >= _CACHED_HEADS:
        _heads.clear()
    _heads[(reply.status, reply.headers)] = start
    return start
