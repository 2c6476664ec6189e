"""One metric's points in columns that grow: kept in order, summed up in blocks as they come."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlbench.domain.curves import Summary
from mlbench.domain.runs import Extremes
from mlbench.tracking.columns import (
    BLOCK,
    Floats,
    Ints,
    Stretches,
    joined,
    single_points,
    summed_up,
)

BLOCKS_A_COLUMN = 4
"""Where each column has so many blocks, a block in its first step's column is near enough."""

_LEAST_ROOM = 256
_NO_EXTREME = (math.inf, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Points of one metric as a log has them; arrays of one length, times in seconds.

    `places` are their records' indices in the step log `log`, where that has records.
    """

    name: str
    steps: Ints
    values: Floats
    times: Floats
    log: str | None = None
    places: Ints | None = None


class Growing:
    """The points of one metric so far, sorted by step and then by time.

    `log` names the one step log that all of them came from, in order; None where it was otherwise.
    """

    def __init__(self) -> None:
        """No points yet."""
        self.count = 0
        self.log: str | None = None
        self._steps, self._values, self._times = _room(_LEAST_ROOM)
        self._places: list[Ints] = []
        self._blocks: list[Stretches] = []
        self._blocks_end = 0
        self._lowest: tuple[float, int] = _NO_EXTREME
        self._highest: tuple[float, int] = _NO_EXTREME

    def add(self, chunk: Chunk) -> None:
        """Take in points, which may come in any order."""
        steps, values, times = chunk.steps, chunk.values, chunk.times
        is_sorted = _is_sorted(steps, times)
        if not is_sorted:
            order = np.lexsort((times, steps))
            steps, values, times = steps[order], values[order], times[order]
        self._note_extremes(steps, values)
        newest = self.count - 1
        if newest < 0 or (steps[0], times[0]) >= (self._steps[newest], self._times[newest]):
            self._note_places(chunk if is_sorted else None)
            self._append(steps, values, times)
        else:
            self._note_places(None)
            self._insert(steps, values, times)

    def columns(self) -> tuple[Ints, Floats]:
        """Steps and values, in order; later points leave these arrays as they are."""
        return self._steps[: self.count].copy(), self._values[: self.count].copy()

    def summary(self) -> Summary:
        """Count, range, last value and extremes; there must be a point."""
        first, last = self._steps[0], self._steps[self.count - 1]
        low, low_step = self._lowest
        minus_high, high_step = self._highest
        if self._lowest == _NO_EXTREME and self._highest == _NO_EXTREME:
            low = minus_high = math.nan
            low_step = high_step = int(first)
        value = float(self._values[self.count - 1])
        extremes = Extremes(low, low_step, -minus_high, high_step)
        return Summary(self.count, int(first), int(last), value, extremes)

    def window(self, first_step: int, last_step: int, width: int) -> Stretches:
        """The points of a window, or blocks of them where they are many for `width` columns."""
        steps = self._steps[: self.count]
        start = int(np.searchsorted(steps, first_step, "left"))
        stop = int(np.searchsorted(steps, last_step, "right"))
        if stop - start < BLOCK * BLOCKS_A_COLUMN * width:
            return self._single(start, stop)
        first, end = -(-start // BLOCK), stop // BLOCK
        return joined(
            [
                self._single(start, first * BLOCK),
                self._whole_blocks().part(first, end),
                self._single(end * BLOCK, stop),
            ]
        )

    def blocks(self) -> Stretches:
        """All points in blocks, the last of which may be a short one."""
        whole = self._whole_blocks()
        rest = self._single(self._blocks_end * BLOCK, self.count)
        return joined([whole, summed_up(rest, BLOCK)]) if len(rest) else whole

    def block_places(self) -> Ints | None:
        """Where in `log` the first point of each of the blocks stands; None without a log."""
        return np.concatenate(self._places) if self.log is not None else None

    def _single(self, start: int, stop: int) -> Stretches:
        return single_points(self._steps[start:stop], self._values[start:stop])

    def _whole_blocks(self) -> Stretches:
        end = self.count // BLOCK
        if end > self._blocks_end or not self._blocks:
            new = self._single(self._blocks_end * BLOCK, end * BLOCK)
            self._blocks = [joined([*self._blocks, summed_up(new, BLOCK)])]
            self._blocks_end = end
        return self._blocks[0]

    def _append(self, steps: Ints, values: Floats, times: Floats) -> None:
        end = self.count + len(steps)
        if end > len(self._steps):
            self._move_to(_room(2 * end))
        part = slice(self.count, end)
        self._steps[part], self._values[part], self._times[part] = steps, values, times
        self.count = end

    def _insert(self, steps: Ints, values: Floats, times: Floats) -> None:
        """Sort the new points in among those from the first new step on."""
        start = int(np.searchsorted(self._steps[: self.count], steps[0], "left"))
        tail = slice(start, self.count)
        steps = np.concatenate([self._steps[tail], steps])
        values = np.concatenate([self._values[tail], values])
        times = np.concatenate([self._times[tail], times])
        order = np.lexsort((times, steps))
        self.count = start
        if self._blocks:
            self._blocks_end = min(self._blocks_end, start // BLOCK)
            self._blocks = [self._blocks[0].part(0, self._blocks_end)]
        self._append(steps[order], values[order], times[order])

    def _move_to(self, room: tuple[Ints, Floats, Floats]) -> None:
        for new, old in zip(room, (self._steps, self._values, self._times), strict=True):
            new[: self.count] = old[: self.count]
        self._steps, self._values, self._times = room

    def _note_extremes(self, steps: Ints, values: Floats) -> None:
        """Of equal values the first step counts, and NaN is less than none and more than none."""
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        if math.isnan(low):
            return
        low_step = int(steps[np.argmax(values == low)])
        high_step = int(steps[np.argmax(values == high)])
        self._lowest = _first_of(self._lowest, (float(low), low_step))
        self._highest = _first_of(self._highest, (-float(high), high_step))

    def _note_places(self, chunk: Chunk | None) -> None:
        """Remember where blocks begin in the one log; forget it for good where it isn't so."""
        if chunk is not None and chunk.places is not None and self.count == 0:
            self.log = chunk.log
        if self.log is None:
            return
        if chunk is None or chunk.places is None or chunk.log != self.log:
            self.log = None
            self._places.clear()
        else:
            self._places.append(chunk.places[-self.count % BLOCK :: BLOCK].copy())


def _first_of(one: tuple[float, int], other: tuple[float, int]) -> tuple[float, int]:
    return other if one is _NO_EXTREME else min(one, other)


def _is_sorted(steps: Ints, times: Floats) -> bool:
    rises = steps[1:] > steps[:-1]
    if rises.all():
        return True
    stays = (steps[1:] == steps[:-1]) & (times[1:] >= times[:-1])
    return bool((rises | stays).all())


def _room(size: int) -> tuple[Ints, Floats, Floats]:
    return np.empty(size, np.int64), np.empty(size, np.float64), np.empty(size, np.float64)
