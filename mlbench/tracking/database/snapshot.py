"""The snapshot as a reader sees it: each document's line by its offset, and never unproved."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

from mlbench.tracking.database.index import (
    OPENING,
    SEPARATOR,
    TAIL_LENGTH,
    Directory,
    Section,
    read_directory,
    read_sections,
    start_of,
)

_BLOCK = 1 << 20
Identity = tuple[int, int, int]


def identity_of(path: Path) -> Identity | None:
    """What changes when a file is replaced or written in place; None where there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class SnapshotFile:
    """An open snapshot; it stays what it was when it is replaced.

    Lines are read, not mapped: another program that cuts the file would end who touches a map.
    """

    def __init__(self, path: Path) -> None:
        """Open it; FileNotFoundError where there is none."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self.identity: Identity = (status.st_ino, status.st_size, status.st_mtime_ns)

    def __del__(self) -> None:
        """Close it with the last who reads from it."""
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            os.close(descriptor)

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two offsets, less where the file begins or ends."""
        start = max(0, start)
        return os.pread(self._descriptor, max(0, end - start), start)

    def directory(self) -> Directory | None:
        """What the index begins with; None where there is no intact index."""
        return read_directory(self._index())

    def sections(self, directory: Directory) -> list[Section]:
        """Every table, by an index that is intact."""
        return read_sections(self._index(), directory)

    def _index(self) -> bytes:
        start = start_of(self.read(self.size - TAIL_LENGTH, self.size))
        return b"" if start is None else self.read(start, self.size)

    def damaged_frame(self, sections: list[Section]) -> Iterator[tuple[int, int]]:
        """The places around the tables' documents where a byte is not what it should be."""
        expected = [(0, OPENING)]
        for section in sections:
            head = section.head
            expected += [(section.offsets[0] - len(head), head), section.foot]
        for start, text in expected:
            if self.read(start, start + len(text)) != text:
                yield start, start + len(text)


class Base:
    """The documents of one table in a snapshot; those found damaged are `lost`."""

    def __init__(self, file: SnapshotFile, section: Section, report: Callable[[str], None]) -> None:
        """Read documents where this section says; `report` is told of each damage."""
        self._file = file
        self._section = section
        self._report = report
        self.ids = section.ids
        self.lost: set[int] = set()

    def __contains__(self, number: int) -> bool:
        """Whether the snapshot has a document of this id, damaged or not."""
        return self._position(number) is not None

    def line(self, number: int) -> bytes | None:
        """A document as JSON; None where there is none, or its bytes are not what was written."""
        position = self._position(number)
        if position is None:
            return None
        start, end = self._section.offsets[position], self._section.offsets[position + 1]
        return self._proved(position, self._file.read(start, end - len(SEPARATOR)))

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Every intact document, in the order of their ids."""
        offsets = self._section.offsets
        count = len(self.ids)
        first = 0
        while first < count:
            last = bisect_left(offsets, offsets[first] + _BLOCK, first + 1, count)
            yield from self._block(first, last)
            first = last

    def _block(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        ids, offsets, sums = self.ids, self._section.offsets, self._section.sums
        origin = offsets[first]
        block = self._file.read(origin, offsets[last])
        for position in range(first, last):
            begin, end = offsets[position] - origin, offsets[position + 1] - origin - 2
            text = block[begin:end]
            line: bytes | None
            if crc32(text) == sums[position]:
                line = text[len(str(ids[position])) + 3 :]
            else:
                line = self._proved(position, text)
            if block[end : end + 2] != SEPARATOR and position < len(ids) - 1:
                self._name(position, end + origin, end + origin + 2, "the separator behind")
            if line is not None:
                yield ids[position], line

    def _position(self, number: int) -> int | None:
        position = bisect_left(self.ids, number)
        return position if position < len(self.ids) and self.ids[position] == number else None

    def _proved(self, position: int, text: bytes) -> bytes | None:
        """The JSON in a line if it is what was written; damage to its key alone costs nothing."""
        number, expected = self.ids[position], self._section.sums[position]
        key = b'"%d":' % number
        line = text[len(key) :]
        start = self._section.offsets[position]
        if crc32(text) == expected:
            return line
        if crc32(key + line) == expected:
            self._name(position, start, start + len(key), "the key of")
            return line
        self.lost.add(number)
        self._name(position, start, start + len(text), "")
        return None

    def _name(self, position: int, start: int, end: int, what: str) -> None:
        whose = f'document {self.ids[position]} of table "{self._section.name}"'
        cost = "it was put right" if what else "it is left out"
        self._report(
            f"{place(self._file.path, start, end)}: {f'{what} ' if what else ''}{whose} is not "
            f"what was written; {cost}"
        )


def place(path: Path, start: int, end: int) -> str:
    """Where damage lies, for people: the file and the bytes, counted from 0."""
    return f"{path.parent.name}/{path.name}: bytes {start} to {end - 1}"
