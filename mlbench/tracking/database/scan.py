"""A snapshot without an index that can be trusted: ours with a damaged index, or another program's.

Every document is read then. In our own layout a document is a line, so that damage stays in its
line; what a stock TinyDB wrote is one JSON value, which is there as a whole or not at all.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from mlbench.domain.records import dataclass
from mlbench.tracking.database.documents import decode, encode
from mlbench.tracking.database.index import INDEX_TABLE, TAIL_LENGTH, start_of
from mlbench.tracking.database.snapshot import SnapshotFile, place
from mlbench.tracking.database.tables import TableState

_HEAD = re.compile(rb'("(?:[^"\\]|\\.)*"):\{')
_DOCUMENT = re.compile(rb'"(-?\d+)":(\{.*\}),?')
_FRAME = (b"{", b"}", b"},")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a file without a trusted index holds.

    `journal` is the last journal in it, None where that isn't known; `foreign` says that another
    program wrote it; `is_lost` that nothing of it can be read.
    """

    tables: dict[str, TableState]
    damages: list[str]
    journal: int | None = None
    foreign: bool = False
    is_lost: bool = False


def scan(file: SnapshotFile) -> Scanned:
    """Read a whole file, in whichever layout it is."""
    data = file.read(0, file.size)
    if not data.strip():
        return Scanned({}, [])
    name = f"{file.path.parent.name}/{file.path.name}"
    lines = data.split(b"\n")
    if _has_index(file, lines):
        return _own_layout(file, lines)
    try:
        content = _loaded(data)
    except ValueError as error:
        if any(_DOCUMENT.fullmatch(line) for line in lines):
            return _own_layout(file, lines)
        sentence = f"{name}: can't be read ({error}); none of its documents is left"
        return Scanned({}, [sentence], is_lost=True)
    return _foreign(name, content)


def _has_index(file: SnapshotFile, lines: list[bytes]) -> bool:
    """Whether the index begins or ends as ours does: damage at one end leaves the other."""
    if start_of(file.read(file.size - TAIL_LENGTH, file.size)) is not None:
        return True
    return any(line.startswith(b'"%s":{"1":{' % INDEX_TABLE.encode()) for line in lines)


def _own_layout(file: SnapshotFile, lines: list[bytes]) -> Scanned:
    tables: dict[str, TableState] = {}
    damages = []
    current: TableState | None = None
    start = known = 0
    for line in lines:
        end = start + len(line) + 1
        head = _HEAD.fullmatch(line)
        found = _DOCUMENT.fullmatch(line)
        if head and head[1] != b'"%s"' % INDEX_TABLE.encode():
            current = tables.setdefault(orjson.loads(head[1]), TableState())
        elif found and current is not None and _is_document(found[2]):
            current.put(int(found[1]), found[2])
        elif line in _FRAME:
            current = None
        else:
            if line:
                damages.append(_named(file, known, end))
            start = end
            continue
        start = known = end
    return Scanned(tables, damages or [_named(file, 0, file.size)])


def _named(file: SnapshotFile, start: int, end: int) -> str:
    if end > file.size - 4:
        where = place(file.path, start, file.size)
        return f"{where}: the index is not what was written; it is made anew"
    return f"{place(file.path, start, end)}: a line is not what was written; it is left out"


def _is_document(line: bytes) -> bool:
    try:
        decode(line)
    except ValueError:
        return False
    return True


def _loaded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        # NaN, and what else only the standard library reads.
        return json.loads(data)


def _foreign(name: str, content: Any) -> Scanned:
    """Tables as a stock TinyDB wrote them."""
    if not isinstance(content, dict):
        return Scanned({}, [f"{name}: is no TinyDB file; nothing of it is read"], is_lost=True)
    damages = [f"{name}: another program wrote it, as a stock TinyDB does; its content is taken"]
    journal = _journal_of(content.pop(INDEX_TABLE, None))
    tables: dict[str, TableState] = {}
    for table, documents in content.items():
        if not isinstance(documents, dict):
            damages.append(f'{name}: table "{table}" is no table; it is left out')
            continue
        state = tables[table] = TableState()
        for number, document in documents.items():
            if _is_number(number) and isinstance(document, dict):
                state.put(int(number), encode(document))
            else:
                damages.append(
                    f'{name}: document "{number}" of table "{table}" is no document under a '
                    "number; it is left out"
                )
    return Scanned(tables, damages, journal, foreign=True)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,19}", text) is not None and abs(int(text)) < 2**63 - 1


def _journal_of(index: Any) -> int | None:
    """What a stock TinyDB carried over of our index."""
    try:
        return int(index["1"]["journal"])
    except (KeyError, TypeError, ValueError):
        return None
