"""A table as of now: what the snapshot has of it, with the journals' changes over that."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain, starmap
from operator import itemgetter

from mlbench.tracking.database.changes import CLEAR, INSERT, REMOVE, UPDATE, Change
from mlbench.tracking.database.snapshot import Base, Block


class TableState:
    """The documents of one table by id; `next_id` is above every id that it ever gave."""

    def __init__(self, base: Base | None = None, next_id: int = 1) -> None:
        """Begin with what the snapshot has."""
        self.base = base
        self.next_id = next_id
        self.changed: dict[int, bytes | None] = {}
        self._more = 0
        self._view: Lines | None = None

    def __len__(self) -> int:
        """How many documents there are; those found damaged don't count."""
        if self.base is None:
            return self._more
        lost = sum(number not in self.changed for number in self.base.lost)
        return len(self.base.ids) + self._more - lost

    def __contains__(self, number: int) -> bool:
        """Whether there is a document of this id."""
        if number in self.changed:
            return self.changed[number] is not None
        return self.base is not None and number in self.base and number not in self.base.lost

    def line(self, number: int) -> bytes | None:
        """A document as JSON, or None."""
        if number in self.changed:
            return self.changed[number]
        return self.base.line(number) if self.base is not None else None

    def apply(self, change: Change) -> None:
        """Take a change of this table's documents."""
        if change.kind in (INSERT, UPDATE):
            self.put(change.number, change.line)
        elif change.kind == REMOVE:
            self._set(change.number, None)
        elif change.kind == CLEAR:
            self.base, self.next_id, self._more = None, 1, 0
            self.changed, self._view = {}, None

    def put(self, number: int, line: bytes) -> None:
        """Insert or replace a document."""
        self._set(number, line)
        self.next_id = max(self.next_id, number + 1)

    def lines(self) -> Lines:
        """Every document as of now, whatever changes afterwards."""
        if self._view is None:
            self._view = self.live()
        return self._view

    def live(self) -> Lines:
        """As `lines`, for somebody who is done with it before the next change."""
        return Lines(self.base, self.changed, self.next_id)

    def _set(self, number: int, line: bytes | None) -> None:
        if self._view is not None:
            # Whoever was handed it sees what was there then.
            self.changed, self._view = dict(self.changed), None
        self._count(number, line is not None)
        self.changed[number] = line

    def _count(self, number: int, there: bool) -> None:
        """Keep the number of documents beyond the snapshot's."""
        if number in self.changed:
            was = self.changed[number] is not None
        else:
            was = self.base is not None and number in self.base
        self._more += there - was


class Lines(Mapping[int, bytes]):
    """Documents as JSON by their ids, in the order of these, as of one moment.

    A document that turns out to be damaged is passed over: `lines[id]` raises KeyError for it.
    """

    def __init__(self, base: Base | None, changed: dict[int, bytes | None], next_id: int) -> None:
        """Show what the base has, but for what changed."""
        self._base = base
        self._changed = changed
        self._ids: Sequence[int] | None = None
        self.next_id = next_id

    @property
    def ids(self) -> Sequence[int]:
        """Every id, rising; made when it is first asked for."""
        if self._ids is None:
            self._ids = self._all_ids()
        return self._ids

    def since(self, before: Lines) -> Mapping[int, bytes | None] | None:
        """The documents that are not as they were before, None for one that is gone.

        None where a new snapshot came between: then everything has to be looked at.
        """
        if self._base is not before._base:
            return None
        was, now = before._changed, self._changed
        changes = {n: line for n, line in now.items() if n not in was or was[n] is not line}
        # A table that was emptied begins anew.
        gone = (n for n, line in was.items() if line is not None and n not in now)
        return {**changes, **dict.fromkeys(gone)}

    def __getitem__(self, number: int) -> bytes:
        """One document; KeyError where there is none, or it is damaged."""
        if number in self._changed:
            line = self._changed[number]
        else:
            line = self._base.line(number) if self._base is not None else None
        if line is None:
            raise KeyError(number)
        return line

    def __contains__(self, number: object) -> bool:
        """Whether there is a document of this id, without looking at it."""
        if not isinstance(number, int):
            return False
        if number in self._changed:
            return self._changed[number] is not None
        base = self._base
        return base is not None and number in base and number not in base.lost

    def __iter__(self) -> Iterator[int]:
        """Every id, rising."""
        return iter(self.ids)

    def __reversed__(self) -> Iterator[int]:
        """Every id, the newest first."""
        return reversed(self.ids)

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self.ids)

    def items(self) -> ItemsView[int, bytes]:
        """Ids and documents, read in large pieces."""
        return _Items(self)

    def pairs(self) -> Iterator[tuple[int, bytes]]:
        """As `items`, in one pass."""
        fresh = sorted((n, line) for n, line in self._changed.items() if line is not None)
        base, changed = self._base, self._changed
        if base is None or not base.ids:
            return iter(fresh)
        kept: Iterator[tuple[int, bytes]] = chain.from_iterable(starmap(zip, base.blocks()))
        if changed:
            kept = (pair for pair in kept if pair[0] not in changed)
        if not fresh or fresh[0][0] > base.ids[-1]:
            return chain(kept, fresh)
        return merge(kept, fresh, key=itemgetter(0))

    def backwards(self) -> Iterator[list[bytes]]:
        """Every document, by falling ids, a list at a time; nothing of it is kept here."""
        touched = sorted(self._changed)
        blocks: Iterable[Block] = self._base.blocks_backwards() if self._base is not None else ()
        for ids, lines in blocks:
            # With those between this block and the one behind it.
            first = bisect_left(touched, ids[0]) if ids else len(touched)
            over = touched[first:]
            del touched[first:]
            yield _replaced(ids, lines, {number: self._changed[number] for number in over})
        yield [line for number in reversed(touched) if (line := self._changed[number]) is not None]

    def _all_ids(self) -> Sequence[int]:
        base, changed = self._base, self._changed
        fresh = sorted(number for number, line in changed.items() if line is not None)
        if base is None or not base.ids:
            return fresh
        if not base.lost and len(fresh) == len(changed):
            more = [number for number in fresh if number not in base]
            if not more:
                return base.ids
            if more[0] > base.ids[-1]:
                return [*base.ids, *more]
        return sorted({*base.ids}.difference(changed, base.lost).union(fresh))


def _replaced(
    ids: Sequence[int], lines: list[bytes], changed: Mapping[int, bytes | None]
) -> list[bytes]:
    """Documents by falling ids, with others over them."""
    if not changed:
        return lines[::-1]
    known = {**dict(zip(ids, lines, strict=True)), **changed}
    return [line for number in sorted(known, reverse=True) if (line := known[number]) is not None]


class _Items(ItemsView[int, bytes]):
    """The view that reads in large pieces."""

    _mapping: Lines

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Each id with its document."""
        return self._mapping.pairs()
