"""Curves in braille: two by four dots a cell, true to every extreme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800
MOST_POINTS = 512

Range = tuple[float, float]
"""The lowest and the highest value of a stretch of steps."""


class Logged(Protocol):
    """One metric over its steps, as the step log gives it."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Ascending."""
        ...

    @property
    def values(self) -> tuple[float, ...]:
        """One a step; NaN where the script logged it."""
        ...

    @property
    def min(self) -> float:
        """The lowest value, NaN left out."""
        ...

    @property
    def min_step(self) -> int:
        """Where it was first."""
        ...

    @property
    def max(self) -> float:
        """The highest value, NaN left out."""
        ...

    @property
    def max_step(self) -> int:
        """Where it was first."""
        ...


@dataclass(frozen=True, slots=True)
class Curve:
    """A logged metric, small enough to be drawn anew at every tick."""

    name: str
    first_step: int
    last_step: int
    last: float
    low: float
    low_step: int
    high: float
    high_step: int
    ranges: tuple[Range, ...]


def curve_of(name: str, series: Logged) -> Curve:
    """A series thinned to at most MOST_POINTS stretches, each with both its extremes."""
    return Curve(
        name=name,
        first_step=series.steps[0],
        last_step=series.steps[-1],
        last=series.values[-1],
        low=series.min,
        low_step=series.min_step,
        high=series.max,
        high_step=series.max_step,
        ranges=tuple(_stretches(series.values)),
    )


def thinned(ranges: Sequence[Range], most: int) -> list[Range]:
    """At most so many ranges that cover the given ones in order; NaN where all is NaN."""
    count = len(ranges)
    if count <= most:
        return list(ranges)
    return [
        _cover(ranges[count * index // most : count * (index + 1) // most]) for index in range(most)
    ]


def braille(ranges: Sequence[Range], width: int, height: int) -> list[str]:
    """The ranges as `height` lines of `width` cells; NaN leaves a gap, a constant a middle line."""
    columns, rows = width * 2, height * 4
    known = [value for pair in ranges for value in pair if math.isfinite(value)]
    if not known or width < 1 or height < 1:
        return [" " * width for _ in range(height)]
    low, high = min(known), max(known)
    levels = [_levels(pair, low, high, rows) for pair in thinned(ranges, columns)]
    dots = [[0] * width for _ in range(height)]
    for column, (bottom, top) in _strokes(levels, columns):
        for level in range(bottom, top + 1):
            row = rows - 1 - level
            dots[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
    return ["".join(chr(_BLANK + bits) if bits else " " for bits in line) for line in dots]


def _stretches(values: Sequence[float]) -> Iterable[Range]:
    count = len(values)
    most = min(count, MOST_POINTS)
    for index in range(most):
        part = values[count * index // most : count * (index + 1) // most]
        finite = [value for value in part if math.isfinite(value)]
        yield (min(finite), max(finite)) if finite else (math.nan, math.nan)


def _cover(ranges: Sequence[Range]) -> Range:
    lows = [low for low, _ in ranges if math.isfinite(low)]
    highs = [high for _, high in ranges if math.isfinite(high)]
    return (min(lows), max(highs)) if lows and highs else (math.nan, math.nan)


def _levels(pair: Range, low: float, high: float, rows: int) -> tuple[int, int] | None:
    if not (math.isfinite(pair[0]) and math.isfinite(pair[1])):
        return None
    if high == low:
        return rows // 2, rows // 2
    # Halved first: the difference of two finite floats may overflow.
    span = high / 2 - low / 2
    bottom, top = ((value / 2 - low / 2) / span * (rows - 1) for value in pair)
    return round(bottom), round(top)


def _strokes(
    levels: Sequence[tuple[int, int] | None], columns: int
) -> Iterable[tuple[int, tuple[int, int]]]:
    """Each dot column with the levels to fill, neighbours joined so that the line has no holes."""
    count = len(levels)
    before: tuple[int, tuple[int, int]] | None = None
    for index, level in enumerate(levels):
        if level is None:
            before = None
            continue
        at = index if count >= columns or count == 1 else index * (columns - 1) // (count - 1)
        if before is not None:
            yield from _joined(before, (at, level))
        yield at, level
        before = at, level


def _joined(
    before: tuple[int, tuple[int, int]], after: tuple[int, tuple[int, int]]
) -> Iterable[tuple[int, tuple[int, int]]]:
    (start, (_, start_top)), (end, (end_bottom, end_top)) = before, after
    start_middle = (before[1][0] + start_top) / 2
    end_middle = (end_bottom + end_top) / 2
    previous = round(start_middle)
    for column in range(start + 1, end + 1):
        share = (column - start) / (end - start)
        level = round(start_middle + (end_middle - start_middle) * share)
        # A steep step is drawn upright, half in either column's own cell.
        low, high = sorted((previous, level))
        yield column, (low if level < previous else min(low + 1, high), high)
        previous = level
