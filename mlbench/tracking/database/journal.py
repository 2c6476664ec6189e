"""One journal file as a reader sees it: what was added to it since the last look."""

from __future__ import annotations

import os
from pathlib import Path

from mlbench.domain.records import dataclass
from mlbench.tracking.database.changes import JOURNAL, Change, parsed
from mlbench.tracking.database.records import Record, records


@dataclass(frozen=True, slots=True)
class Tail:
    """What was added: changes that count, how many bytes they and the damage take, and damages.

    A batch that is only begun, and a line that is only begun, are none of it.
    """

    changes: list[Change]
    length: int
    damages: list[Record]


def read_tail(data: bytes) -> Tail:
    """The changes in a piece of a journal that begins with a line."""
    batch = _Batch()
    for record in records(data):
        batch.take(record)
    return Tail(batch.counted, batch.length, batch.damages)


class _Batch:
    """Lines that count together are held back until the last of them is seen."""

    def __init__(self) -> None:
        self.counted: list[Change] = []
        self.damages: list[Record] = []
        self.length = 0
        self._held: list[Change] = []
        self._left = 0

    def take(self, record: Record) -> None:
        change = None if record.body is None else _parsed(record.body)
        if change is None or not record.terminated:
            self.damages.append(record)
        if change is None:
            self._left -= 1
        else:
            left, what = change
            if self._held and left != self._left - 1:
                # Its last line was lost to damage, for a batch that is cut short leaves none.
                self._count()
            self._held.append(what)
            self._left = left
        if self._left <= 0:
            self._count()
            self.length = record.end

    def _count(self) -> None:
        self.counted += self._held
        self._held.clear()
        self._left = 0


def _parsed(body: bytes) -> tuple[int, Change] | None:
    try:
        return parsed(body)
    except (ValueError, KeyError, TypeError):
        return None


class JournalFile:
    """An open journal, read up to `applied`; `number` is its place among journals, 0 unknown.

    `token` tells it from every other journal, and is empty where its first line is lost.
    It stays open, so that no other file can take its inode while it is looked at.
    """

    def __init__(self, path: Path) -> None:
        """Open it; FileNotFoundError where there is none."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self._descriptor).st_ino
        self.applied = 0
        self.number = 0
        self.token = ""
        self.has_changes = False

    def __del__(self) -> None:
        """Close it with the last who looks at it."""
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            os.close(descriptor)

    @property
    def size(self) -> int:
        """How long it is now, in bytes."""
        return os.fstat(self._descriptor).st_size

    def read_more(self) -> Tail:
        """What was added since the last time; places in damages are of the whole file."""
        start = self.applied
        tail = read_tail(self._rest())
        self.applied = start + tail.length
        for change in tail.changes:
            if change.kind == JOURNAL:
                self.number, self.token = change.number, change.token
            else:
                self.has_changes = True
        moved = [
            Record(start + one.start, start + one.end, one.body, one.terminated)
            for one in tail.damages
        ]
        return Tail(tail.changes, tail.length, moved)

    def _rest(self) -> bytes:
        parts = []
        position = self.applied
        while part := os.pread(self._descriptor, 1 << 24, position):
            parts.append(part)
            position += len(part)
        return b"".join(parts)
