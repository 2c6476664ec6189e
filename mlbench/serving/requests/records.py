"""Logged requests as bytes, and back: records in blocks, each checksummed. Pure.

Bodies stand as they came: nothing is parsed or written anew while a server answers. A block is
what was written at once; it begins and ends with its length, so that it is found from either side.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LARGEST_BODY = 1_000_000
"""A longer request or reply is logged without its body, and says so."""

_MAGIC, _CIGAM = b"mlq1", b"1qlm"
_BEGIN = struct.Struct("<4sIII")
_END = struct.Struct("<I4s")
BEGIN_BYTES, END_BYTES = _BEGIN.size, _END.size
# When, seconds, status, flags, the lengths of id, model, version, body, its JSON, reply, its JSON.
_RECORD = struct.Struct("<qdHBHHHIiIi")
_IS_ROWS, _NO_BODY, _BODY_TOO_LONG, _REPLY_TOO_LONG = 1, 2, 4, 8


@dataclass(slots=True)
class Kept:
    """One request with its reply, as the worker hands it over and as the log gives it back.

    `at_ns` is when it was answered, since 1970; `took` its seconds in the server. The JSON lengths
    are None where no binary tensors follow. `is_rows` says that it came by /predict.
    `without_body` says that the log was not to keep its inputs; `is_body_cut` and `is_reply_cut`
    that they were too long.
    """

    id: str
    at_ns: int
    model: str
    version: str
    status: int
    took: float
    body: bytes
    header_length: int | None
    reply: bytes
    reply_header_length: int | None
    is_rows: bool = False
    without_body: bool = False
    is_body_cut: bool = False
    is_reply_cut: bool = False


def block_of(
    entries: Sequence[Kept], *, with_inputs: bool = True, largest: int = LARGEST_BODY
) -> bytes:
    """Entries as one block, without bodies of more than `largest` bytes.

    Where inputs are not to be logged, it is without them and the words of refusals.
    """
    parts: list[bytes] = []
    pack, words = _RECORD.pack, _Words()
    # In one piece, for it runs beside requests that wait for the interpreter.
    for entry in entries:
        body, reply = entry.body, entry.reply
        flags = _IS_ROWS if entry.is_rows else 0
        if not with_inputs:
            body, flags = b"", flags | _NO_BODY
            # A sentence that says what is wrong may quote it.
            reply = reply if entry.status < 400 else b""
        elif len(body) > largest:
            body, flags = b"", flags | _BODY_TOO_LONG
        if len(reply) > largest:
            reply, flags = b"", flags | _REPLY_TOO_LONG
        id_, model, version = _word(entry.id), words[entry.model], words[entry.version]
        header, reply_header = entry.header_length, entry.reply_header_length
        head = pack(
            entry.at_ns,
            entry.took,
            entry.status,
            flags,
            len(id_),
            len(model),
            len(version),
            len(body),
            -1 if header is None else header,
            len(reply),
            -1 if reply_header is None else reply_header,
        )
        parts += (head, id_, model, version, body, reply)
    payload = b"".join(parts)
    size = len(payload)
    begin = _BEGIN.pack(_MAGIC, size, len(entries), zlib.crc32(payload))
    return b"".join((begin, payload, _END.pack(size, _CIGAM)))


class _Words(dict[str, bytes]):
    """Names as bytes, each made once."""

    def __missing__(self, text: str) -> bytes:
        made = self[text] = _word(text)
        return made


def _word(text: str) -> bytes:
    """A name as bytes, cut where a client sends an absurd one."""
    return text.encode("utf-8", "surrogatepass")[:0xFFFF]


def payload_size(begin: bytes) -> int | None:
    """The length of the payload of the block that begins so; None where no block does."""
    if len(begin) < BEGIN_BYTES:
        return None
    magic, size, _, _ = _BEGIN.unpack_from(begin)
    return int(size) if magic == _MAGIC else None


def payload_size_before(end: bytes) -> int | None:
    """The length of the payload of the block that ends so; None where no block does."""
    if len(end) != END_BYTES:
        return None
    size, magic = _END.unpack(end)
    return int(size) if magic == _CIGAM else None


def is_whole(begin: bytes, payload: bytes) -> bool:
    """Whether a payload is what the begin of its block says."""
    magic, size, _, checksum = _BEGIN.unpack_from(begin)
    return bool(magic == _MAGIC and size == len(payload) and checksum == zlib.crc32(payload))


def entries_of(payload: bytes) -> Iterator[Kept]:
    """The entries of a whole block, oldest first."""
    at = 0
    while at < len(payload):
        at_ns, took, status, flags, id_, model, version, body, head, reply, reply_head = (
            _RECORD.unpack_from(payload, at)
        )
        at += _RECORD.size
        texts = []
        for length in (id_, model, version):
            texts.append(payload[at : at + length].decode("utf-8", "replace"))
            at += length
        yield Kept(
            texts[0],
            at_ns,
            texts[1],
            texts[2],
            status,
            took,
            payload[at : at + body],
            None if head < 0 else head,
            payload[at + body : at + body + reply],
            None if reply_head < 0 else reply_head,
            bool(flags & _IS_ROWS),
            bool(flags & _NO_BODY),
            bool(flags & _BODY_TOO_LONG),
            bool(flags & _REPLY_TOO_LONG),
        )
        at += body + reply
