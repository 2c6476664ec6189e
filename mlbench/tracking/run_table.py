"""The table of runs in TinyDB, as lines in the order of their ids."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, MutableMapping
from itertools import chain
from pathlib import Path
from typing import Any

from tinydb.table import Document

from mlbench.domain.phrases import plural
from mlbench.tracking.database import Lines, open_database
from mlbench.tracking.index import LEAST_NUMBER, number_of
from mlbench.tracking.lines import id_of, is_going

_TABLE = "runs"
_HEAD, _SECTION = b'{"id":"', b'},"stages":{'
# Longer than an id: the mark that ends one is less than whatever an id may go on with.
_KEY = len(_HEAD) + 40


class RunTable:
    """Reads are as of now; whoever writes holds the store's lock."""

    def __init__(self, path: Path) -> None:
        """Open the database; it is made with the first run."""
        self._name = path.name
        self._database = open_database(path)
        self._table = self._database.table(_TABLE)
        self._rows: _Rows | None = None
        self._others = 0
        self._passed: Lines | None = None
        self._version = -1

    @property
    def damages(self) -> tuple[str, ...]:
        """What was found damaged so far, or written by another program, a sentence each."""
        # As far as anybody has looked at all of them.
        others = self._others
        found = plural(others, "document")
        strange = f".mlbench/{self._name}: among its runs, {found} of another program; "
        told = (f"{strange}`mlbench doctor --fix` takes that out",) if others else ()
        return self._database.damages + told

    @property
    def count(self) -> int:
        """How many documents it holds, none of which is looked at."""
        return len(self._table.lines())

    def lines(self) -> list[bytes]:
        """Every run's line, in the order of their ids; the same list while nothing changes."""
        return self._now().ordered

    def newest(self) -> Iterator[bytes]:
        """Every run's line, the newest first, of which only what is asked for is looked at.

        Who looks at all of them for the first time keeps none: reading them is half of what keeping
        a hundred thousand costs.
        """
        if self._rows is not None or self._is_passed_through() or self._has_odd_numbers():
            return reversed(self.lines())
        return chain.from_iterable(self._backwards(self._table.lines()))

    def line(self, run: str) -> bytes | None:
        """The line of a run."""
        number = self._number(run)
        return None if number is None else self._table.lines().get(number)

    def put(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Insert documents of runs, each in place of the one of the same id."""
        new: dict[int, Mapping[str, Any]] = {}
        for document in documents:
            run = document["id"]
            number = self._number(run)
            if number is None:
                free = number_of(run) or self._odd_number(new)
                new[free] = Document(document, free)
            else:
                self._table.update(_replaced_by(document), doc_ids=[number])
        if new:
            self._table.insert_multiple(new.values())

    def remove(self, run: str) -> None:
        """Take a run out, if it is there."""
        number = self._number(run)
        if number is not None:
            self._table.remove(doc_ids=[number])

    def drop_others(self, *, strangers: bool) -> None:
        """Take out what lies under another's number or hasn't ended, and perhaps what is no run."""
        others = [
            number
            for number, line in self._table.lines().items()
            if (not _is_at_home(number, line) if _is_run(line) else strangers)
        ]
        if others:
            self._table.remove(doc_ids=others)

    def is_doubtful(self) -> bool:
        """Whether the file is another program's, can't be read, or is gone from its journal."""
        return self._database.is_doubtful

    def check(self) -> None:
        """Look at every byte, for `damages`."""
        self._database.check()

    def checkpoint(self) -> None:
        """Bring the file up to date for other programs, with whatever was damaged left out."""
        self._database.checkpoint()

    def _number(self, run: str) -> int | None:
        """The number of a run's document, where there is one."""
        number = number_of(run)
        if number is not None:
            # Looked at, for it may be damaged.
            return number if self._table.lines().get(number) is not None else None
        odd = self._table.lines()
        return next((n for n, line in odd.items() if _is_run(line) and id_of(line) == run), None)

    def _odd_number(self, taken: Container[int]) -> int:
        """A free number for a run whose id gives none."""
        lines = self._table.lines()
        return next(n for n in range(1, LEAST_NUMBER) if n not in lines and n not in taken)

    def _backwards(self, lines: Lines) -> Iterator[list[bytes]]:
        others = 0
        for batch in lines.backwards():
            runs = [line for line in batch if line[:7] == _HEAD and line.rfind(_SECTION) > 0]
            others += len(batch) - len(runs)
            yield runs
        self._others, self._passed = others, lines

    def _is_passed_through(self) -> bool:
        """Whether somebody looked at all that there is now."""
        return self._passed is not None and self._table.lines() is self._passed

    def _has_odd_numbers(self) -> bool:
        """Whether the numbers of documents don't rise as the ids of their runs do."""
        ids = self._table.lines().ids
        return bool(ids) and ids[0] < LEAST_NUMBER

    def _now(self) -> _Rows:
        with self._database.files.looking() as current:
            if self._rows is None or current.version != self._version:
                lines = self._table.lines()
                self._rows = self._rows.followed_by(lines) if self._rows else _Rows(lines)
                self._version, self._others = current.version, self._rows.others
            return self._rows


class _Rows:
    """The runs among the documents of one moment, in the order of their ids."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        # As _is_run, without a call for each of very many.
        pairs = lines.items()
        self.ordered = [line for _, line in pairs if line[:7] == _HEAD and line.rfind(_SECTION) > 0]
        self.others = len(lines) - len(self.ordered)
        # They mostly are in order, and then this looks at each once.
        self.ordered.sort(key=_key)

    def followed_by(self, lines: Lines) -> _Rows:
        """The runs of a later moment; only what changed since is looked at, as far as can be."""
        changes = lines.since(self.lines)
        if changes is None or self.others or any(map(_is_strange, changes.values())):
            return _Rows(lines)
        later = object.__new__(_Rows)
        later.lines, later.others, later.ordered = lines, 0, list(self.ordered)
        for number, line in changes.items():
            before = self.lines.get(number)
            if before is not None:
                del later.ordered[_place(later.ordered, before)]
            if line is not None:
                later.ordered.insert(_place(later.ordered, line), line)
        return later


def _is_at_home(number: int, line: bytes) -> bool:
    """Whether a run has ended and lies under its own number."""
    return not is_going(line) and number_of(id_of(line)) in (None, number)


def _is_strange(line: bytes | None) -> bool:
    return line is not None and not _is_run(line)


def _is_run(line: bytes) -> bool:
    return line.startswith(_HEAD) and line.rfind(_SECTION) > 0


def _key(line: bytes) -> bytes:
    return line[:_KEY]


def _place(ordered: list[bytes], line: bytes) -> int:
    return bisect_left(ordered, _key(line), key=_key)


def _replaced_by(document: Mapping[str, Any]) -> Callable[[MutableMapping[str, Any]], None]:
    """What TinyDB's `update` makes of a document: another one, as one change."""

    def change(old: MutableMapping[str, Any]) -> None:
        old.clear()
        old.update(document)

    return change
