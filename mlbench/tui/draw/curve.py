"""Curves in braille: two by four dots a cell, true to every extreme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mlbench.domain.curves import Column

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800
_GAP: Column = (math.nan, math.nan, math.nan)

MOST_COLUMNS = 512
"""As many columns as the widest screen has dots for a curve: what readers are asked for."""


Scale = tuple[float, float]
"""The values at the lower and at the upper edge."""


def scale_of(columns: Sequence[Column | None]) -> Scale | None:
    """The scale that these columns fill; None where there is nothing to draw."""
    known = [value for column in columns if column for value in column[:2] if math.isfinite(value)]
    return (min(known), max(known)) if known else None


def braille(
    columns: Sequence[Column | None], width: int, height: int, scale: Scale | None = None
) -> list[str]:
    """Columns as `height` lines of `width` cells; NaN leaves a gap, a constant a middle line.

    Without a scale they get the one that they fill.
    """
    scale = scale or scale_of(columns)
    cells = _cells(columns, width, height, scale)
    return ["".join(_sign(bits) for bits in line) for line in cells]


def resized(columns: Sequence[Column | None], width: int) -> list[Column | None]:
    """As many columns as wanted, the first and last of them where they were."""
    found: list[list[Column]] = [[] for _ in range(width)]
    count = len(columns)
    for index, column in enumerate(columns):
        if column is not None:
            found[round(index * (width - 1) / (count - 1)) if count > 1 else 0].append(column)
    return [_cover(some) if some else None for some in found]


def _cover(columns: Sequence[Column]) -> Column:
    known = [column for column in columns if all(map(math.isfinite, column))]
    if not known:
        return _GAP
    lows, highs, means = zip(*known, strict=True)
    return min(lows), max(highs), sum(mean / len(means) for mean in means)


def _sign(bits: int) -> str:
    return chr(_BLANK + bits) if bits else " "


def _cells(
    columns: Sequence[Column | None], width: int, height: int, scale: Scale | None
) -> list[list[int]]:
    """The dots of each cell, row by row."""
    cells = [[0] * max(width, 0) for _ in range(height)]
    if scale is None or width < 1 or height < 1:
        return cells
    dots = height * 4
    levels = [column and _levels(column, scale, dots) for column in resized(columns, width * 2)]
    for column, (bottom, top) in _strokes(levels):
        for level in range(bottom, top + 1):
            row = dots - 1 - level
            cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
    return cells


_Levels = tuple[int, int, int]


def _levels(column: Column, scale: Scale, dots: int) -> _Levels | tuple[()]:
    """The lowest, highest and middle dot of a column; nothing where it leaves a gap."""
    if not (math.isfinite(column[0]) and math.isfinite(column[1])):
        return ()
    # Halved first: the difference of two finite floats may overflow.
    low, span = scale[0] / 2, scale[1] / 2 - scale[0] / 2
    shares = ((value / 2 - low) / span if span else 0.5 for value in column[:2])
    first, last = (round(share * (dots - 1)) for share in shares)
    return first, last, (first + last) // 2


def _strokes(
    levels: Sequence[_Levels | tuple[()] | None],
) -> Iterable[tuple[int, tuple[int, int]]]:
    """Each dot column with the levels to fill, neighbours joined so that the line has no holes."""
    before: tuple[int, _Levels] | None = None
    for index, level in enumerate(levels):
        if level is None:
            continue
        if not level:
            before = None
            continue
        if before is not None:
            yield from _joined(before[0], before[1][2], index, level[2])
        yield index, level[:2]
        before = index, level


def _joined(start: int, low: int, end: int, high: int) -> Iterable[tuple[int, tuple[int, int]]]:
    """A straight line from one dot to another, each column reaching up to the one before."""
    previous = low
    for column in range(start + 1, end + 1):
        level = round(low + (high - low) * (column - start) / (end - start))
        bottom, top = sorted((previous, level))
        # A steep step is drawn upright, half in either column's own cell.
        yield column, (bottom if level < previous else min(bottom + 1, top), top)
        previous = level
