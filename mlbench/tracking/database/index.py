"""The last line of a snapshot: where each document's line lies, and its checksum.

It is a table of one document, `_mlbench`, so that a stock TinyDB reads the file as any other. Its
fixed end says where it begins and what it sums to; ids, offsets and checksums are packed in base64.
"""

from __future__ import annotations

import re
import sys
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import orjson

from mlbench.domain.records import dataclass

INDEX_TABLE = "_mlbench"
OPENING = b"{\n"
SEPARATOR = b",\n"
# Behind the last document's line, instead of a separator.
LAST = b"\n}"
_FORMAT = 1
_CLOSING = b'"}}\n}\n'
_TAIL = re.compile(rb',"at":"(\d{12})","sum":"([0-9a-f]{8})"}}\n}\n')
TAIL_LENGTH = len(b',"at":"000000000000","sum":"00000000"') + len(_CLOSING) - 1
_BEGINNING = b'"%s":{"1":' % INDEX_TABLE.encode()
# A quotation mark inside a JSON string is escaped, so this can't stand in a table's name.
_ENTRIES = b',"entries":"'
_SUMMED_LESS = len(b',"sum":"00000000') + len(_CLOSING)


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a snapshot: ids rise; document i is the text from offsets[i] to offsets[i+1]-2.

    The text is `"<id>":<JSON>`, and `sums` are its CRC-32. `next_id` is what the table gives next.
    """

    name: str
    next_id: int
    ids: Sequence[int]
    offsets: Sequence[int]
    sums: Sequence[int]

    @property
    def head(self) -> bytes:
        """The line in front of the table's documents."""
        return head_of(self.name)

    @property
    def foot(self) -> tuple[int, bytes]:
        """Where the table's last line begins, with the newline before it, and how it reads."""
        if not self.ids:
            return self.offsets[0], b"}" + SEPARATOR
        return self.offsets[-1] - len(LAST), LAST + SEPARATOR


def head_of(table: str) -> bytes:
    """The line in front of a table's documents."""
    return b"%s:{\n" % orjson.dumps(table)


@dataclass(frozen=True, slots=True)
class Directory:
    """What the index begins with: its tables, the last journal in the snapshot, and its token."""

    tables: Sequence[Mapping[str, Any]]
    journal: int
    token: str


def index_line(sections: Sequence[Section], journal: int, token: str, at: int) -> bytes:
    """The end of a snapshot that begins at offset `at`; `journal` is the last one in it."""
    tables = [{"name": s.name, "documents": len(s.ids), "next": s.next_id} for s in sections]
    packed = b"".join(_packed(section) for section in sections)
    head = {"format": _FORMAT, "journal": journal, "token": token, "tables": tables}
    summed = b'%s%s%s%s","at":"%012d"' % (
        _BEGINNING,
        orjson.dumps(head)[:-1],
        _ENTRIES,
        b2a_base64(packed, newline=False),
        at,
    )
    return b'%s,"sum":"%08x%s' % (summed, crc32(summed), _CLOSING)


def start_of(tail: bytes) -> int | None:
    """Where the index begins by the last TAIL_LENGTH bytes of a file; None if it has none."""
    found = _TAIL.fullmatch(tail)
    return int(found[1]) if found else None


def read_directory(line: bytes) -> Directory | None:
    """What the index begins with; None where a byte of it, or behind it, is altered."""
    found = _TAIL.fullmatch(line[-TAIL_LENGTH:])
    if not found or found[2] != b"%08x" % crc32(memoryview(line)[:-_SUMMED_LESS]):
        return None
    head = orjson.loads(line[len(_BEGINNING) : line.index(_ENTRIES)] + b"}")
    if head["format"] != _FORMAT:
        return None
    return Directory(head["tables"], head["journal"], head["token"])


def read_sections(line: bytes, directory: Directory) -> list[Section]:
    """Every table of an index that is intact."""
    start = line.index(_ENTRIES) + len(_ENTRIES)
    packed = memoryview(a2b_base64(memoryview(line)[start : -TAIL_LENGTH - 1]))
    sections = []
    for table in directory.tables:
        count = table["documents"]
        ids, packed = _unpacked("q", packed, count)
        offsets, packed = _unpacked("Q", packed, count + 1)
        sums, packed = _unpacked("I", packed, count)
        sections.append(Section(table["name"], table["next"], ids, offsets, sums))
    return sections


def _packed(section: Section) -> bytes:
    columns: Iterable[array[int]] = (
        array("q", section.ids),
        array("Q", section.offsets),
        array("I", section.sums),
    )
    return b"".join(map(_little_endian, columns))


def _little_endian(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _unpacked(code: str, packed: memoryview, count: int) -> tuple[array[int], memoryview]:
    column: array[int] = array(code)
    size = count * column.itemsize
    column.frombytes(packed[:size])
    if sys.byteorder == "big":
        column.byteswap()
    return column, packed[size:]
