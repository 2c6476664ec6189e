"""A copied request with its answer, as a worker sends it to the shadow's process."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlbench.project.layout import Layout

MOST_BYTES = 1 << 20
"""The most that a request's body, and its answer's, may have to be copied."""

_FRAME = struct.Struct("<I")
_HEAD = struct.Struct("<iiIIHH?")
FRAME_BYTES = _FRAME.size


@dataclass(frozen=True, slots=True)
class Copied:
    """One request and what the live version answered; `is_rows` where it came by /predict.

    The header lengths are those of the JSON before binary tensors, None where there are none.
    `dropped` is how many copies for this model its worker could not send since the last one.
    """

    model: str
    version: str
    body: bytes
    header_length: int | None
    reply: bytes
    reply_header_length: int | None
    is_rows: bool = False
    dropped: int = 0


def frame_of(copied: Copied) -> bytes:
    """A copy as it is sent: its length in four bytes, then all of it."""
    model, version = copied.model.encode(), copied.version.encode()
    head = _HEAD.pack(
        -1 if copied.header_length is None else copied.header_length,
        -1 if copied.reply_header_length is None else copied.reply_header_length,
        copied.dropped,
        len(copied.body),
        len(model),
        len(version),
        copied.is_rows,
    )
    parts = (head, model, version, copied.body, copied.reply)
    return b"".join((_FRAME.pack(sum(map(len, parts))), *parts))


def frame_length(begin: bytes) -> int:
    """How many bytes follow the first FRAME_BYTES of a frame."""
    return int(_FRAME.unpack(begin)[0])


def copied_of(data: bytes) -> Copied:
    """What a frame holds after its length."""
    header, reply_header, dropped, length, model, version, is_rows = _HEAD.unpack_from(data)
    at = _HEAD.size
    names = data[at : at + model].decode(), data[at + model : at + model + version].decode()
    at += model + version
    return Copied(
        *names,
        data[at : at + length],
        None if header < 0 else header,
        data[at + length :],
        None if reply_header < 0 else reply_header,
        is_rows,
        dropped,
    )


def socket_path(layout: Layout, environment: str) -> Path:
    """Where an environment's shadow listens: a short path, for a Unix socket's must be.

    Its folder is the user's alone, as copies hold what clients sent; OSError where somebody else
    made one of that name.
    """
    folder = Path(tempfile.gettempdir()) / f"mlbench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{folder}: must be yours alone; remove it")
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder}: is no folder; remove it")
    name = hashlib.blake2b(f"{layout.shadows(environment)}".encode(), digest_size=12).hexdigest()
    return folder / f"{name}.shadow"
