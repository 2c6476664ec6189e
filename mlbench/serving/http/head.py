"""What a request's head says, checked as a whole before any of its body is read. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlbench.serving.http.encodings import accepted, read_encoding, readable
from mlbench.serving.http.guard import Guard
from mlbench.serving.http.limits import Limits
from mlbench.serving.refusals import RequestError

WANTED = frozenset(
    b"accept-encoding authorization content-encoding content-length expect host "
    b"inference-header-content-length origin transfer-encoding upgrade".split()
)
"""The names of the headers that anything here looks at; the others are not kept."""

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(rb"[0-9]{1,12}")


class RawHead(NamedTuple):
    """A head as it was parsed, but for Content-Length, in which a client's requests differ most.

    `headers` are the others of WANTED, their names in small letters.
    """

    method: bytes
    target: bytes
    version: str
    headers: Sequence[tuple[bytes, bytes]]
    keeps_alive: bool
    upgrades: bool


@dataclass(slots=True)
class Head:
    """A head that was let pass, for the body comes in chunks or as long as `read_length` says.

    `keeps_alive` says whether the connection is good for another request, `is_old` that the client
    speaks HTTP/1.0, `accepts` which of gzip and deflate its answer may come in. `upgrades` says
    that another protocol was offered, which is left unused (RFC 9110 7.8).
    """

    method: str
    path: str
    query: str
    is_chunked: bool
    header_length: int | None
    encoding: str
    accepts: str
    is_trusted: bool
    keeps_alive: bool
    is_old: bool
    expects_continue: bool
    upgrades: bool


def read_head(raw: RawHead, guard: Guard, limits: Limits) -> Head:
    """Check a head; RequestError says what is refused, and why.

    400 for what contradicts itself, 401 and 403 by the guard, 405 for CONNECT, 414 for a path too
    long, 417 for an unknown expectation, 501 for an encoding or protocol
    that is not spoken, 505 for another version than 1.0 and 1.1.
    """
    if raw.version not in ("1.0", "1.1"):
        raise RequestError(505, f"HTTP/{raw.version} is not spoken here; ask with HTTP/1.1")
    if len(raw.target) > limits.path_bytes:
        raise path_too_long(limits)
    if raw.method == b"CONNECT":
        raise RequestError(405, "this is no proxy: CONNECT is not allowed", "GET, HEAD, POST")
    path, query = _split(raw.target, guard)
    method = raw.method.decode("latin-1")
    is_old = raw.version == "1.0"
    trusted = guard.check(method, path, raw.headers, needs_host=not is_old)
    values = dict(raw.headers)
    _check_transfer(values, raw)
    return Head(
        method=method,
        path=path,
        query=query,
        is_chunked=b"transfer-encoding" in values,
        header_length=_header_length(raw.headers),
        encoding=read_encoding(_joined(raw.headers, b"content-encoding")),
        accepts=accepted(_joined(raw.headers, b"accept-encoding")),
        is_trusted=trusted,
        keeps_alive=raw.keeps_alive,
        is_old=is_old,
        expects_continue=_expects_continue(values) and not is_old,
        upgrades=raw.upgrades,
    )


def read_length(value: bytes, limits: Limits) -> int:
    """A Content-Length, which the parser has seen to be a number; RequestError 413 over limits."""
    length = int(value)
    if length > limits.body_bytes:
        raise body_too_long(limits)
    return length


def body_too_long(limits: Limits) -> RequestError:
    """The refusal of a body that is too long on the wire."""
    size = readable(limits.body_bytes)
    return RequestError(413, f"the body is larger than {size}; send fewer rows")


def head_too_long(limits: Limits) -> RequestError:
    """The refusal of headers that take too much room together."""
    return RequestError(431, f"the headers are larger than {readable(limits.header_bytes)}")


def path_too_long(limits: Limits) -> RequestError:
    """The refusal of a path that is too long."""
    return RequestError(414, f"the path is longer than {readable(limits.path_bytes)}")


def _split(target: bytes, guard: Guard) -> tuple[str, str]:
    """Path and query of a target in origin or absolute form (RFC 9112 3.2)."""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        guard.check_host(absolute[1])
        target = absolute[2]
        if not target.startswith(b"/"):
            target = b"/" + target
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return path.decode("latin-1"), query.decode("latin-1")


def _check_transfer(values: Mapping[bytes, bytes], raw: RawHead) -> None:
    if b"transfer-encoding" in values:
        coding = _joined(raw.headers, b"transfer-encoding").strip().lower()
        if coding != b"chunked":
            raise RequestError(501, "of transfer encodings only chunked is read here")
        if raw.version == "1.0":
            raise RequestError(400, "HTTP/1.0 has no chunked bodies; send Content-Length")
    if raw.upgrades and b"websocket" in values.get(b"upgrade", b"").lower():
        raise RequestError(501, "WebSockets are not spoken here; send HTTP/1.1 requests")


def _header_length(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    found = [value for name, value in headers if name == b"inference-header-content-length"]
    if not found:
        return None
    if len(found) > 1 or not _NUMBER.fullmatch(found[0].strip()):
        shown = b", ".join(found)[:60].decode("latin-1")
        raise RequestError(
            400,
            f'Inference-Header-Content-Length is "{shown}", not the number of bytes of the JSON',
        )
    return int(found[0])


def _expects_continue(values: Mapping[bytes, bytes]) -> bool:
    expected = values.get(b"expect", b"").strip().lower()
    if expected not in (b"", b"100-continue"):
        raise RequestError(417, "of expectations only 100-continue is met here (Expect header)")
    return bool(expected)


def _joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    return b",".join(value for found, value in headers if found == name)
