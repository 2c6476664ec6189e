"""What all charts of a study have in common: scales, a sheet with marks, a frame around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.tui.draw.canvas import Canvas
from mlbench.tui.draw.lines import EMPTY, Part, cell, joined, line, spread, widest

_FEW = 8
_FENCE = 3.0
_MOST_MARGIN = 10
_TALL = 10
_MIDDLE_LABEL = 8

Spots = Mapping[tuple[int, int], int]
"""Which trial is marked at (column, line), both counted from the upper left corner."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a chart is wanted: its size in cells, the marked trial, a logarithmic value axis."""

    width: int
    height: int
    selected: int | None = None
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart: as many lines as were asked for, each as wide as was asked for."""

    lines: tuple[Content, ...]
    spots: Spots = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at both ends of an axis; those outside are drawn at its ends."""

    low: float
    high: float
    is_log: bool = False

    def share(self, value: float) -> float:
        """Where a value stands between 0 at the lower end and 1 at the upper one."""
        return self.placing()(value)

    def placing(self) -> Callable[[float], float]:
        """As `share`, for many values."""
        # Halved first: the difference of two finite floats may overflow.
        low, high = self._scaled(self.low) / 2, self._scaled(self.high) / 2
        span = high - low
        if not span > 0:
            return lambda _: 0.5
        if self.is_log:
            return lambda value: min(1.0, max(0.0, (self._scaled(value) / 2 - low) / span))
        return lambda value: min(1.0, max(0.0, (value / 2 - low) / span))

    def clip(self, value: float) -> float:
        """The value, or the end of the scale beyond which it lies."""
        return min(self.high, max(self.low, value))

    def value(self, share: float) -> float:
        """The value that stands at a share."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        found = low * (1 - share) + high * share
        return math.exp(found) if self.is_log else found

    def _scaled(self, value: float) -> float:
        # A logarithmic axis ends at its least value: what is 0 or less lies below it.
        return math.log(max(value, self.low)) if self.is_log else value


def scale_over(
    values: Iterable[float], keep: Iterable[float] = (), *, is_log: bool = False
) -> Scale | None:
    """A scale on which most values can be told apart; None where there are no values.

    Values farther outside the middle half than three times its width (Tukey's outer fences) may
    lie beyond its ends if that at least halves it; those of `keep` never do. `is_log` holds only
    where all values are positive.
    """
    known = sorted(value for value in values if math.isfinite(value))
    if not known:
        return None
    low, high = known[0], known[-1]
    if is_log and low > 0:
        return Scale(low, high, is_log=True)
    if len(known) >= _FEW:
        first, third = known[len(known) // 4], known[len(known) * 3 // 4]
        reach = _FENCE * (third / 2 - first / 2) * 2
        inner = [value for value in known if first - reach <= value <= third + reach]
        inner += [value for value in keep if math.isfinite(value)]
        if reach > 0 and (max(inner) / 2 - min(inner) / 2) <= (high / 2 - low / 2) / 2:
            return Scale(min(inner), max(inner))
    return Scale(low, high)


class Sheet(Canvas):
    """A canvas on which trials are marked by their shares of both axes."""

    def __init__(self, width: int, height: int) -> None:
        """So many cells wide and high; at least one each."""
        super().__init__(width, height)
        self._ranks: dict[tuple[int, int], int] = {}
        self.spots: dict[tuple[int, int], int] = {}

    def at(self, across: float, up: float) -> tuple[int, int]:
        """The dot (column, level) at these shares."""
        return round(across * (self.columns - 1)), round(up * (self.levels - 1))

    def speck(self, across: float, up: float, style: str, trial: int) -> None:
        """A trial as one dot; it takes the place of signs of a rank below 0."""
        column, level = self.at(across, up)
        self.dot(column, level, style)
        place = (column // 2, (self.levels - 1 - level) // 4)
        if self._ranks.get(place, -1) < 0:
            self.spots[place] = trial
            self._ranks[place] = 0
            self.clear(*place)

    def touch(self, across: float, up: float, trial: int) -> None:
        """A trial that a click there means, unless one is marked there."""
        column, level = self.at(across, up)
        self.spots.setdefault((column // 2, (self.levels - 1 - level) // 4), trial)

    def mark(
        self, across: float, up: float, sign: tuple[str, str], trial: int, rank: int = 0
    ) -> None:
        """A trial as a sign of one cell, unless what has a higher rank is there."""
        column, level = self.at(across, up)
        place = (column // 2, (self.levels - 1 - level) // 4)
        if rank >= self._ranks.get(place, rank):
            self._ranks[place] = rank
            self.spots[place] = trial
            self.put(column, level, *sign)


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a sheet: the head above, the labels of the lower axis, the upright one.

    The upright axis has the ends of its scale, unless there are `ticks`: texts at their shares.
    """

    head: Sequence[Content]
    scale: Scale
    left: Part = ""
    middle: Part = ""
    right: Part = ""
    ticks: Sequence[tuple[float, str]] = ()

    def labels(self, rows: int) -> dict[int, str]:
        """The labels of the upright axis by row."""
        if self.ticks:
            levels = rows * 4 - 1
            return {rows - 1 - round(share * levels) // 4: text for share, text in self.ticks}
        low, high = number(self.scale.low), number(self.scale.high)
        if low == high:
            return {rows // 2: low}
        found = {0: high, rows - 1: low}
        if rows > _MIDDLE_LABEL:
            # Where the label stands, not where the middle is: it names its own row's value.
            share = 1 - (rows // 2 * 4 + 1.5) / (rows * 4 - 1)
            middle = brief(self.scale.value(share), self.scale)
            found |= {rows // 2: middle} if middle not in found.values() else {}
        return found


def brief(value: float, scale: Scale) -> str:
    """A value with as many digits as tell it from its neighbours on the scale."""
    span = abs(scale.high / 2 - scale.low / 2) * 2
    if scale.is_log or not span or not math.isfinite(span):
        return number(float(f"{value:.2g}"))
    digits = max(0, 2 - math.floor(math.log10(span)))
    return number(round(value, digits)) if digits < 300 else number(value)


def sheet_for(frame: Frame, look: Look, below: int = 0) -> Sheet:
    """The sheet that fits into the frame, with so many lines left free below it."""
    rows = max(2, look.height - len(frame.head) - 1 - below)
    return Sheet(max(2, look.width - _margin(frame, rows) - 1), rows)


def framed(frame: Frame, sheet: Sheet, look: Look, below: Sequence[Content] = ()) -> Chart:
    """The sheet with its axes; lines of `below` stand between it and the labels across."""
    margin = _margin(frame, sheet.height)
    labels = frame.labels(sheet.height)
    body = [
        line(
            cell((labels.get(row, ""), "$quiet"), margin, right=True),
            ("┤" if row in labels else "│", "$frame"),
            dots,
        )
        for row, dots in enumerate(sheet.rows())
    ]
    under = [line(cell("", margin), ("│", "$frame"), item) for item in below]
    across = line(" " * margin, ("└", "$frame"), axis_line(frame, sheet.width))
    top = len(frame.head)
    spots = {(margin + 1 + x, top + y): trial for (x, y), trial in sheet.spots.items()}
    return boxed([*frame.head, *body, *under, across], look, spots)


def axis_line(frame: Frame, width: int) -> Content:
    """The labels of the lower axis: at its ends, and its name between where there is room."""
    left, middle, right = (line(part) for part in (frame.left, frame.middle, frame.right))
    room = width - left.cell_length - right.cell_length
    if middle.cell_length + 2 > room:
        if middle.cell_length and width >= 2 * middle.cell_length:
            return spread(middle, right, width)
        return spread(left, right, width)
    before = (width - middle.cell_length) // 2 - left.cell_length
    before = max(1, min(before, room - middle.cell_length - 1))
    return spread(line(left, " " * before, middle), right, width)


def head_lines(answer: Content, legend: Iterable[Content], look: Look) -> list[Content]:
    """What the chart says in words, and its legend beside it or below it, as there is room."""
    signs = joined(legend, "  ")
    if not signs.plain:
        return [cell(answer, look.width)]
    if answer.cell_length + signs.cell_length + 2 <= look.width:
        return [spread(answer, signs, look.width)]
    above = [cell(answer, look.width)]
    return [*above, cell(signs, look.width)] if look.height >= _TALL else above


def said(words: str, look: Look) -> Chart:
    """A sentence in the place of a chart, over as many lines as it needs."""
    lines, current = [], ""
    for word in words.split():
        if current and len(current) + 1 + len(word) > look.width:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    return boxed([line((text, "$quiet")) for text in [*lines, current]], look)


def boxed(lines: Sequence[Content], look: Look, spots: Spots | None = None) -> Chart:
    """Exactly so many lines of exactly so many cells."""
    wanted = [*lines[: look.height], *[EMPTY] * (look.height - len(lines))]
    return Chart(tuple(cell(text, look.width) for text in wanted), spots or {})


def _margin(frame: Frame, rows: int) -> int:
    return min(_MOST_MARGIN, widest(frame.labels(rows).values()))
