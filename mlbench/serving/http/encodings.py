"""Compressed bodies: read with a bound, written where a client asks for it. Pure."""

from __future__ import annotations

import zlib

from mlbench.serving.refusals import RequestError

_GZIP = 16 + zlib.MAX_WBITS
_WRITES = {"gzip": _GZIP, "deflate": zlib.MAX_WBITS}
_LEVEL = 1


def read_encoding(value: bytes) -> str:
    """The coding of a Content-Encoding header: gzip, deflate or "" for none.

    RequestError 501 for every other, and for several, as Triton answers it.
    """
    coding = value.strip().lower()
    if coding in (b"", b"identity"):
        return ""
    if coding in (b"gzip", b"x-gzip"):
        return "gzip"
    if coding == b"deflate":
        return "deflate"
    shown = coding[:60].decode("latin-1")
    raise RequestError(
        501, f'bodies in the content encoding "{shown}" are not read here; send gzip or deflate'
    )


def inflate(body: bytes, coding: str, limit: int) -> bytes:
    """The body as it was before gzip or deflate (RFC 9110 8.4.1; deflate in zlib's frame or raw).

    RequestError 413 where it is longer than `limit` bytes, of which no more are ever made; 400
    where the stream is damaged, cut short, or followed by anything.
    """
    reader = zlib.decompressobj(_GZIP if coding == "gzip" else _deflate_frame(body))
    try:
        plain = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestError(400, f"the body is not valid {coding}: {error}") from None
    if len(plain) > limit:
        raise RequestError(
            413, f"the body is larger than {readable(limit)} when decompressed; send fewer rows"
        )
    if not reader.eof:
        raise RequestError(400, f"the body's {coding} stream is cut short")
    if reader.unused_data:
        raise RequestError(400, f"the body goes on after the end of its {coding} stream")
    return plain


def deflated(body: bytes, coding: str) -> bytes:
    """The body in gzip or deflate, at the level that costs least."""
    writer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WRITES[coding])
    return writer.compress(body) + writer.flush()


def accepted(value: bytes) -> str:
    """The coding that an Accept-Encoding header likes best: gzip, deflate, or "" for neither.

    Only what it names counts, "*" asks for nothing (RFC 9110 12.5.3).
    """
    best, liked = "", 0.0
    for part in value.lower().split(b","):
        name, _, parameter = part.partition(b";")
        coding = name.strip().decode("latin-1").removeprefix("x-")
        quality = _quality(parameter)
        if coding in _WRITES and (quality > liked or (quality == liked > 0 and coding == "gzip")):
            best, liked = coding, quality
    return best


def readable(size: int) -> str:
    """A limit in the unit that it is a whole number of."""
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


def _deflate_frame(body: bytes) -> int:
    """A raw stream can't begin like zlib's header: the bits of a stored block's pad are zero."""
    is_zlib = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS


def _quality(parameter: bytes) -> float:
    name, _, value = parameter.partition(b"=")
    if name.strip() != b"q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
