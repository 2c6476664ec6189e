"""Writing a snapshot: one document a line, copied undecoded, and the index behind them."""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

from mlbench.system.files import write_all
from mlbench.tracking.database.index import (
    LAST,
    OPENING,
    SEPARATOR,
    Section,
    head_of,
    index_line,
)
from mlbench.tracking.database.tables import Lines

# What is written is put on disk piece by piece: one sync of everything at the end would hold up
# the journal's writers, for a disk works off what it was given in turn.
_SYNC_EVERY = 1 << 21
# Each write lets other threads of the process go on.
_CHUNK = 1 << 16
sync_data = getattr(os, "fdatasync", os.fsync)


def write_snapshot(path: Path, tables: Mapping[str, Lines], journal: int, token: str) -> None:
    """Write and sync a new file; OSError, and no file, where the disk takes less than all.

    `journal` is the number of the last journal in it, `token` that one's own.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    try:
        _Writer(descriptor).write(tables, journal, token)
        os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(descriptor)


class _Writer:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._chunk: list[bytes] = []
        self._chunk_size = 0
        self._unsynced = 0
        self._position = 0

    def write(self, tables: Mapping[str, Lines], journal: int, token: str) -> None:
        self._put(OPENING)
        sections = [self._section(name, lines) for name, lines in tables.items()]
        self._put(index_line(sections, journal, token, self._position))
        self._flush()

    def _section(self, name: str, lines: Lines) -> Section:
        self._put(head_of(name))
        start = self._position
        ids, offsets, sums = array("q"), array("Q"), array("I")
        separator = b""
        for number, line in lines.pairs():
            text = b'"%d":%s' % (number, line)
            ids.append(number)
            offsets.append(self._position + len(separator))
            sums.append(crc32(text))
            self._put(separator + text)
            separator = SEPARATOR
        offsets.append(self._position + len(LAST) if ids else start)
        self._put((LAST if ids else LAST[1:]) + SEPARATOR)
        return Section(name, lines.next_id, ids, offsets, sums)

    def _put(self, data: bytes) -> None:
        self._chunk.append(data)
        self._chunk_size += len(data)
        self._position += len(data)
        if self._chunk_size >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        write_all(self._descriptor, b"".join(self._chunk))
        self._unsynced += self._chunk_size
        self._chunk, self._chunk_size = [], 0
        if self._unsynced >= _SYNC_EVERY:
            sync_data(self._descriptor)
            self._unsynced = 0
