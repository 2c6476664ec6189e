"""When changes are told: once the tree is quiet, and never too late or too often."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

QUIET_SECONDS = 0.05
CAP_SECONDS = 1.6
# Whoever saves by hand pauses longer than this; a program that writes on and on does not.
PAUSE_SECONDS = 0.25
FREE_CALLS = 8
FIRST_DISTANCE_SECONDS = 0.1


class Change(enum.Enum):
    """What happened to a path."""

    MADE = enum.auto()
    """It is new, and may be written still."""
    WRITTEN = enum.auto()
    """Its content moved, by someone who has it open still."""
    SAVED = enum.auto()
    """It is complete: closed, renamed to this name, or nothing that one writes into."""
    GONE = enum.auto()
    """It was removed, or renamed to another name."""


@dataclass(slots=True)
class Pending:
    """The changes that are still to be told; times are of one monotonic clock, in seconds.

    A change is due 50 ms after the last save, at most 1.6 s after the first event. What is only
    written on, a log say, waits for the 1.6 s. Who changes files without a pause is told of in
    growing distances up to 1.6 s.
    """

    _paths: dict[str, bool] = field(default_factory=dict)
    _everything: bool = False
    _first: float = 0.0
    _last: float = 0.0
    _last_saved: float | None = None
    _told: float = -PAUSE_SECONDS
    _calls_in_a_row: int = 0

    def note(self, path: str, change: Change, now: float) -> None:
        """Add a change; what is made and gone again before it is told never was."""
        if change is Change.GONE and self._paths.get(path):
            del self._paths[path]
            self._last = now
            return
        self._begin(now)
        self._last = now
        self._paths[path] = self._paths.get(path, change is Change.MADE)
        if change in (Change.SAVED, Change.GONE):
            self._last_saved = now

    def note_everything(self, now: float) -> None:
        """Events were lost: the whole tree has to be looked at."""
        self._begin(now)
        self._everything = True
        self._last = self._last_saved = now

    def due(self) -> float | None:
        """When to tell, None while there is nothing to tell."""
        if not self:
            return None
        cap = self._first + CAP_SECONDS
        if self._last_saved is None:
            return cap
        return min(cap, max(self._last_saved + QUIET_SECONDS, self._told + self._distance()))

    def quiet(self, now: float) -> float:
        """For how long nothing has happened."""
        return now - self._last

    def hold(self, now: float) -> None:
        """Wait as if the last event had been this moment."""
        self._first = self._last_saved = now

    def take(self, now: float) -> tuple[str, ...]:
        """What to tell, which is pending no longer; empty for: look at everything."""
        is_after_pause = self._first - self._told >= PAUSE_SECONDS
        self._calls_in_a_row = 0 if is_after_pause else self._calls_in_a_row + 1
        paths = () if self._everything else tuple(sorted(self._paths))
        self._paths, self._everything, self._last_saved = {}, False, None
        self._told = now
        return paths

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return self._everything or bool(self._paths)

    def _begin(self, now: float) -> None:
        if not self:
            self._first, self._last_saved = now, None

    def _distance(self) -> float:
        in_a_row = 0 if self._first - self._told >= PAUSE_SECONDS else self._calls_in_a_row
        steps = min(in_a_row - FREE_CALLS, 10)
        return 0.0 if steps < 0 else min(FIRST_DISTANCE_SECONDS * 2.0**steps, CAP_SECONDS)
