"""The snapshot as a reader sees it: each document's line by its offset, and never unproved."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
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

_BLOCK = 1 << 18
_LAST_BLOCK = 1 << 15
Identity = tuple[int, int, int]
Block = tuple[Sequence[int], list[bytes]]
"""Some documents as JSON, and their ids, which rise."""


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

    def blocks(self) -> Iterator[Block]:
        """Every intact document, in the order of their ids."""
        offsets, count = self._section.offsets, len(self.ids)
        first = 0
        while first < count:
            last = bisect_left(offsets, offsets[first] + _BLOCK, first + 1, count)
            yield self._block(first, last)
            first = last

    def blocks_backwards(self) -> Iterator[Block]:
        """As `blocks`, the last one first; who wants only the last few reads little."""
        offsets = self._section.offsets
        last, size = len(self.ids), _LAST_BLOCK
        while last:
            first = bisect_left(offsets, offsets[last] - size, 0, last - 1)
            yield self._block(first, last)
            last, size = first, min(size * 4, _BLOCK)

    def _block(self, first: int, last: int) -> Block:
        """The documents of these positions, in few steps where all is as it was written."""
        offsets, ids = self._section.offsets[first : last + 1], self.ids[first:last]
        origin = offsets[0]
        block = self._file.read(origin, offsets[-1])
        cuts = [offset - origin for offset in offsets]
        texts = [block[begin : end - 2] for begin, end in pairwise(cuts)]
        is_whole = last == len(self.ids) or block.endswith(SEPARATOR)
        is_whole = is_whole and block.startswith(SEPARATOR.join(texts))
        if is_whole and [*map(crc32, texts)] == [*self._section.sums[first:last]]:
            return ids, _without_keys(ids, texts)
        pairs = list(self._mended(first, texts, block))
        return [number for number, _ in pairs], [line for _, line in pairs]

    def _mended(
        self, first: int, texts: Sequence[bytes], block: bytes
    ) -> Iterator[tuple[int, bytes]]:
        """What is intact in a block, with a word on what isn't."""
        origin = self._section.offsets[first]
        for position, text in enumerate(texts, first):
            line = self._proved(position, text)
            end = self._section.offsets[position + 1]
            is_last = position == len(self.ids) - 1
            if not is_last and block[end - 2 - origin : end - origin] != SEPARATOR:
                self._name(position, end - 2, end, "the separator behind")
            if line is not None:
                yield self.ids[position], line

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


def _without_keys(ids: Sequence[int], texts: Sequence[bytes]) -> list[bytes]:
    """The JSON behind `"<id>":` in each text."""
    least, most = len(str(ids[0])), len(str(ids[-1]))
    if least == most and ids[0] >= 0:
        skipped = least + 3
        return [text[skipped:] for text in texts]
    return [text[len(str(number)) + 3 :] for number, text in zip(ids, texts, strict=True)]


def place(path: Path, start: int, end: int) -> str:
    """Where damage lies, for people: the file and the bytes, counted from 0."""
    return f"{path.parent.name}/{path.name}: bytes {start} to {end - 1}"
