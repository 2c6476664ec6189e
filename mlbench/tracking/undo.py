"""What the last changes of the record replaced, so that each can be taken back, newest first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import field, fields, replace
from typing import Any

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Marks
from mlbench.project.layout import Layout
from mlbench.system.journal import Journal

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One change that somebody made: the marks of runs before and after it, or runs it deleted.

    `said` is what it did, as a phrase: "tagged brave-otter good".
    """

    said: str
    before: Mapping[str, Marks] = field(default_factory=dict)
    after: Mapping[str, Marks] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()


class UndoLog:
    """The changes of one project's record; the caller sees to it that one writes at a time."""

    def __init__(self, layout: Layout) -> None:
        """Use the project's log; it is made with the first change."""
        self._journal = Journal(layout.undo)

    def add(self, change: Change) -> None:
        """Write a change down durably, before it is made."""
        self._journal.rewrite(_shortened)
        self._journal.append(to_plain(change))

    def changes(self) -> list[Change]:
        """Every change that can be taken back, oldest first."""
        return _changes(self._journal.read())

    def drop_last(self) -> None:
        """Forget the newest change, which was taken back."""
        self._journal.rewrite(lambda values: [to_plain(one) for one in _changes(values)[:-1]])


def _shortened(values: list[Any]) -> list[Any] | None:
    """The newest changes where there are too many."""
    return values[-_LONGEST:] if len(values) >= 2 * _LONGEST else None


def _changes(values: Iterable[Any]) -> list[Change]:
    found = []
    for plain in values:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            found.append(from_plain(Change, plain))
    return found


def taken_back(marks: Marks, before: Marks, after: Marks) -> Marks:
    """The marks without what a change did to them; what was changed since stays."""
    back = {
        name: getattr(before, name)
        for name in (item.name for item in fields(Marks))
        if getattr(before, name) != getattr(after, name) == getattr(marks, name)
    }
    return replace(marks, **back)
