"""Changes of one table on their way: nothing of it is kept until all of it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from mlbench.tracking.database.changes import (
    CLEAR,
    INSERT,
    MAKE,
    REMOVE,
    UPDATE,
    Change,
)
from mlbench.tracking.database.documents import decode, encode
from mlbench.tracking.database.tables import Lines

Fields = Mapping[str, Any] | Callable[[MutableMapping[str, Any]], None]
_LARGEST = 2**63 - 2


class Draft:
    """The documents as they will be; documents are new objects, and encoded when they are put."""

    def __init__(self, table: str, lines: Lines, is_there: bool) -> None:
        """Begin with the table as it is; `is_there` says whether it exists yet."""
        self._table = table
        self._lines = lines
        self._next_id = lines.next_id
        self._changes: list[Change] = [] if is_there else [Change(MAKE, table)]
        self._changed: dict[int, bytes | None] = {}

    @property
    def changes(self) -> list[Change]:
        """What is to be written."""
        return self._changes

    def __contains__(self, number: int) -> bool:
        """Whether there is a document of this id."""
        if number in self._changed:
            return self._changed[number] is not None
        return number in self._lines

    def documents(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every document as it was when the draft began."""
        for number, line in self._lines.pairs():
            yield number, decode(line)

    def document(self, number: int) -> dict[str, Any] | None:
        """One document as it will be, or None."""
        line = self._changed[number] if number in self._changed else self._lines.get(number)
        return None if line is None else decode(line)

    def insert(self, document: Mapping[str, Any], number: int | None) -> int:
        """Add a document under this id, or the next; ValueError where the id is taken."""
        if number is None:
            number = self._next_id
        if number in self:
            raise ValueError(f"Document with ID {number} already exists")
        if abs(number) > _LARGEST:
            raise ValueError(f"Document ID {number} is too large")
        self._put(INSERT, number, encode(document))
        self._next_id = max(self._next_id, number + 1)
        return number

    def edit(self, number: int, document: dict[str, Any], *several: Fields) -> None:
        """Change a document, which is handed in as it is now."""
        for fields in several:
            if callable(fields):
                fields(document)
            else:
                document.update(fields)
        line = encode(document)
        before = self._changed[number] if number in self._changed else self._lines[number]
        if line != before:
            self._put(UPDATE, number, line)

    def remove(self, number: int) -> None:
        """Take a document away."""
        self._changes.append(Change(REMOVE, self._table, number))
        self._changed[number] = None

    def clear(self) -> None:
        """Take all documents away, and begin with id 1 again."""
        self._changes.append(Change(CLEAR, self._table))

    def _put(self, kind: str, number: int, line: bytes) -> None:
        self._changes.append(Change(kind, self._table, number, line))
        self._changed[number] = line
