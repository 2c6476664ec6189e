"""What one line of the journal says: one document put or removed, or a table as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from mlbench.domain.records import dataclass

# A quotation mark inside a JSON string is escaped, so this can't stand in a table's name.
_DOCUMENT = b',"document":'

INSERT, UPDATE, REMOVE = "insert", "update", "remove"
MAKE, CLEAR, DROP = "make", "clear", "drop"
JOURNAL = "journal"
_WITH_DOCUMENT = frozenset({INSERT, UPDATE})
_OF_DOCUMENT = _WITH_DOCUMENT | {REMOVE}
_KINDS = (INSERT, UPDATE, REMOVE, MAKE, CLEAR, DROP)


@dataclass(frozen=True, slots=True)
class Change:
    """`number` is the document's id; for a journal's first line its own number.

    `line` is the document as JSON. `clear` empties a table and begins its ids anew, `drop` takes it
    away. `token` and `next_ids` stand in a journal's first line: what tells it from every other
    journal, and what each table gives next.
    """

    kind: str
    table: str
    number: int = 0
    line: bytes = b""
    token: str = ""
    next_ids: Mapping[str, int] | None = None


def bodies(changes: Iterable[Change]) -> Iterable[bytes]:
    """The JSON of changes that count together or not at all: each says how many are `left`."""
    several = list(changes)
    for left, change in zip(range(len(several) - 1, -1, -1), several, strict=True):
        yield _body(change, left)


def _body(change: Change, left: int) -> bytes:
    if change.kind == JOURNAL:
        first = {"left": left, JOURNAL: change.number, "token": change.token}
        return orjson.dumps({**first, "next": change.next_ids})
    number = change.number if change.kind in _OF_DOCUMENT else True
    head = orjson.dumps({"left": left, "table": change.table, change.kind: number})
    if change.kind not in _WITH_DOCUMENT:
        return head
    return b"%s%s%s}" % (head[:-1], _DOCUMENT, change.line)


def parsed(body: bytes) -> tuple[int, Change]:
    """How many lines are left, and the change; ValueError where it is none that we write."""
    cut = body.find(_DOCUMENT)
    head = orjson.loads(body if cut < 0 else body[:cut] + b"}")
    line = b"" if cut < 0 else body[cut + len(_DOCUMENT) : -1]
    if JOURNAL in head:
        first = Change(JOURNAL, "", head[JOURNAL], token=head["token"], next_ids=head["next"])
        return head["left"], first
    kind = _kind(head)
    return head["left"], Change(kind, head["table"], int(head[kind]), line)


def _kind(head: Mapping[str, Any]) -> str:
    for kind in _KINDS:
        if kind in head:
            return kind
    raise ValueError("no change that is known")
