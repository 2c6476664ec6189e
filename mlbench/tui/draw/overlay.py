"""Step curves of several runs over each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.content import Content

from mlbench.domain.curves import Column, Curve
from mlbench.domain.phrases import number
from mlbench.tui.draw.canvas import Canvas
from mlbench.tui.draw.lines import Part, cell, line, spread, widest
from mlbench.tui.draw.series import letter, style_of

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97)
"""The weights of what came before that can be chosen, none first."""

Columns = Sequence[Column | None]


@dataclass(frozen=True, slots=True)
class Trace:
    """One run's curve in the window; `place` is the run's among those that are compared.

    The first and the last step are those of the whole series.
    """

    place: int
    curve: Curve
    first_step: int
    last_step: int


@dataclass(frozen=True, slots=True)
class Overlay:
    """One metric of several runs between two steps, both included."""

    name: str
    first_step: int
    last_step: int
    traces: tuple[Trace, ...]


def overlay_lines(
    overlay: Overlay, width: int, height: int, *, logarithmic: bool, smoothing: float
) -> list[Content]:
    """The curves with their scale, each with its run's letter at the end, and the steps below."""
    drawn = [(trace, smoothed(trace.curve.columns, smoothing)) for trace in overlay.traces]
    ends = _scale([columns for _, columns in drawn], logarithmic=logarithmic)
    if ends is None:
        why = "; a logarithmic scale shows values above 0 alone" if logarithmic else ""
        return [cell((f"nothing to draw between these steps{why}", "$quiet"), width)]
    low, high = ends
    labels = (number(high), number(low))
    margin = widest(labels)
    rows = max(2, height - 1)
    canvas = Canvas(width - margin - 3, rows)
    letters: dict[int, list[Part]] = {}
    # The first run is drawn last, so that it lies above the others.
    for trace, columns in reversed(drawn):
        style = style_of(trace.place)
        level = _draw(canvas, columns, (low, high), style, logarithmic=logarithmic)
        if level is not None:
            row = rows - 1 - level // 4
            letters.setdefault(row, []).insert(0, (letter(trace.place), f"bold {style}"))
    body = []
    for row, dots in enumerate(canvas.rows()):
        label = labels[0] if row == 0 else labels[1] if row == rows - 1 else ""
        left = cell((label, "$quiet"), margin, right=True)
        body.append(line(left, " ", dots, *letters.get(row, [])[:2]))
    steps = spread(
        line(" " * (margin + 1), (f"step {overlay.first_step}", "$quiet")),
        line((f"{overlay.last_step}{' log' if logarithmic else ''}", "$quiet")),
        width - 2,
    )
    return [*body, steps][:height]


def smoothed(columns: Columns, weight: float) -> list[Column | None]:
    """An exponential moving average of the columns' means; as they are where the weight is 0.

    What came before counts by `weight`, what is missing passes over; as in Adam, the start is not
    drawn to 0.
    """
    if not weight:
        return list(columns)
    average, share = 0.0, 0.0
    result: list[Column | None] = []
    for column in columns:
        if column is None or not math.isfinite(column[2]):
            result.append(column)
            continue
        average = weight * average + (1 - weight) * column[2]
        share = weight * share + (1 - weight)
        value = average / share
        result.append((value, value, value))
    return result


def _scale(every: Iterable[Columns], *, logarithmic: bool) -> tuple[float, float] | None:
    values = [
        value
        for columns in every
        for column in columns
        if column is not None
        for value in column[:2]
        if math.isfinite(value) and (value > 0 or not logarithmic)
    ]
    return (min(values), max(values)) if values else None


def _draw(
    canvas: Canvas,
    columns: Columns,
    ends: tuple[float, float],
    style: str,
    *,
    logarithmic: bool,
) -> int | None:
    """Draw one curve; gives the level at which it ends, None where nothing could be drawn."""
    count = len(columns)
    before: tuple[int, int] | None = None
    last: int | None = None
    for index, column in enumerate(columns):
        if column is None:
            continue
        levels = _levels(column, ends, canvas.levels, logarithmic=logarithmic)
        if levels is None:
            before = None
            continue
        at = round(index * (canvas.columns - 1) / max(1, count - 1))
        canvas.upright(at, *levels, style)
        last = (levels[0] + levels[1]) // 2
        if before is not None:
            canvas.stroke(before, (at, last), style)
        before = (at, last)
    return last


def _levels(
    column: Column, ends: tuple[float, float], levels: int, *, logarithmic: bool
) -> tuple[int, int] | None:
    low, high = column[:2]
    if not (math.isfinite(low) and math.isfinite(high)) or (logarithmic and low <= 0):
        return None
    scaled = [math.log(value) if logarithmic else value for value in (low, high, *ends)]
    # Halved first: the difference of two finite floats may overflow.
    span = scaled[3] / 2 - scaled[2] / 2
    if span <= 0:
        return levels // 2, levels // 2
    bottom, top = ((value / 2 - scaled[2] / 2) / span * (levels - 1) for value in scaled[:2])
    return round(bottom), round(top)


def figures(overlay: Overlay, names: Sequence[str], room: int) -> list[Content]:
    """One line a run: its letter, the last value, and the extremes with their steps."""
    width = widest(names)
    lines = []
    for trace in overlay.traces:
        curve = trace.curve
        ends = [
            f"min {number(curve.low)} at {curve.low_step}",
            f"max {number(curve.high)} at {curve.high_step}",
        ]
        head = line(
            (f"{letter(trace.place)} ", f"bold {style_of(trace.place)}"),
            cell(names[trace.place], width),
            f"  {number(curve.last):<9}",
        )
        whole = line(head, *((f" {end:<20}", "$quiet") for end in ends))
        is_narrow = whole.cell_length > room
        lines.append(line(head, (f" {ends[0]}", "$quiet")) if is_narrow else whole)
    return lines
