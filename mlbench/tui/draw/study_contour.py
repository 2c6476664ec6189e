"""A contour: the value over two parameters in shades, blank where nothing near was tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.domain.study_analysis import PlacedTrial
from mlbench.domain.study_axes import Axis, value_text
from mlbench.domain.study_contour import contour_grid
from mlbench.domain.sweeps import MAXIMIZE, Objective, StudyView
from mlbench.tui.draw.lines import Part, line
from mlbench.tui.draw.study_plot import (
    Chart,
    Frame,
    Look,
    Scale,
    Sheet,
    framed,
    head_lines,
    said,
    scale_over,
    sheet_for,
)
from mlbench.tui.draw.study_slice import column_names
from mlbench.tui.draw.study_trials import (
    BEST,
    COMPLETE,
    SELECTED,
    Scored,
    axis_among,
    best_scored,
    ends_of,
    scored,
    share_on,
    title_of,
)

SHADES = "░▒▓█"
"""From the worst to the best quarter of the scale."""

_SHADE = "$info"
_TRIAL = "bold"
_MOST_SUMS = 40_000
_MOST_TRIALS = 2000
_CROWD = 14
_LEAST_REACH, _REACH, _HALF = 0.06, 0.45, 0.44


@dataclass(frozen=True, slots=True)
class _Map:
    """Two parameters with their axes, the trials that have both, and the values' scale."""

    across: Axis
    up: Axis
    trials: tuple[PlacedTrial, ...]
    scale: Scale
    objective: Objective

    def shade(self, value: float) -> str:
        """The sign for a value; the densest for the best."""
        share = self.scale.share(value)
        turned = share if self.objective.direction == MAXIMIZE else 1 - share
        return SHADES[min(len(SHADES) - 1, int(turned * len(SHADES)))]


def contour_chart(view: StudyView, objective: int, params: tuple[int, int], look: Look) -> Chart:
    """The value over the parameters at these two places in the space, the first one across."""
    sweep = view.study.sweep
    across, up = (sweep.space[place] for place in params)
    every = scored(view.trials, objective)
    points = [p for p in every if across.name in p.trial.params and up.name in p.trial.params]
    best = best_scored(every, sweep.objectives[objective])
    kept = best_scored(points, sweep.objectives[objective])
    scale = scale_over((p.value for p in points), (kept.value,) if kept else (), is_log=look.is_log)
    if scale is None:
        return said(f"No trial with a value had {across.name} and {up.name} yet.", look)
    axes = axis_among(across, view.trials), axis_among(up, view.trials)
    stride = -(-len(points) // _MOST_TRIALS)
    marked = {look.selected, best.number if best else None}
    some = [p for at, p in enumerate(points) if at % stride == 0 or p.number in marked]
    drawn = _Map(*axes, _placed(some, *axes, scale), scale, sweep.objectives[objective])
    left, right = ("", "") if axes[0].categories else ends_of(axes[0])
    frame = Frame(
        _head(drawn, best, stride, look),
        Scale(axes[1].low, axes[1].high, axes[1].is_log),
        (left, "$quiet"),
        (title_of(across.name, axes[0]), "bold"),
        (right, "$quiet"),
        ticks=_ticks(axes[1]),
    )
    below = [Content("")] if axes[0].categories else []
    sheet = sheet_for(frame, look, below=len(below))
    _draw_shades(sheet, drawn)
    _draw_trials(sheet, drawn, best, look.selected)
    words = [column_names(axes[0], sheet.width)] if below else []
    return framed(frame, sheet, look, words)


def _placed(
    points: Sequence[Scored], across: Axis, up: Axis, scale: Scale
) -> tuple[PlacedTrial, ...]:
    """The trials' places; values are clipped: one beyond the scale would shade all around it."""
    places = [share_on(axis, is_spread=False) for axis in (across, up)]
    found = []
    for point in points:
        x = places[0](point.trial.params[across.name], 0)
        y = places[1](point.trial.params[up.name], 0)
        if x is not None and y is not None:
            found.append(
                PlacedTrial(point.number, (x, y), scale.clip(point.value), point.is_feasible)
            )
    return tuple(found)


def _draw_shades(sheet: Sheet, drawn: _Map) -> None:
    """A shade in every cell that has a trial near to it."""
    near = _near(drawn, sheet.width, sheet.height)
    # The map has so many cells that the time for it is the same however many trials there are.
    cells = min(sheet.width * sheet.height, _MOST_SUMS // max(1, min(len(drawn.trials), 144)))
    coarse = math.sqrt(max(1.0, sheet.width * sheet.height / cells))
    columns, rows = (max(2, int(size / coarse)) for size in (sheet.width, sheet.height))
    shades = [[drawn.shade(v) for v in row] for row in contour_grid(drawn.trials, columns, rows)]
    for column, row in near:
        x = round(_within(drawn.across, column / max(1, sheet.width - 1)) * (columns - 1))
        y = round(_within(drawn.up, row / max(1, sheet.height - 1)) * (rows - 1))
        sheet.put(column * 2, row * 4, shades[y][x], _SHADE)


def _within(axis: Axis, share: float) -> float:
    """The share whose value is meant: between categories there is nothing."""
    count = len(axis.categories)
    return (min(count - 1, int(share * count)) + 0.5) / count if count else share


def _near(drawn: _Map, width: int, height: int) -> set[tuple[int, int]]:
    """The cells (column, row from below) near enough to a trial to say something about them."""
    around = max(_LEAST_REACH, _REACH / math.sqrt(len(drawn.trials)))
    axes = ((drawn.across, width), (drawn.up, height))
    # A category fills its own column or row.
    wide, high = (
        max(0.5, size * (_HALF / len(axis.categories) if axis.categories else around))
        for axis, size in axes
    )
    is_round = not (drawn.across.categories or drawn.up.categories)
    stamp = [
        (x, y)
        for x in range(-math.ceil(wide), math.ceil(wide) + 1)
        for y in range(-math.ceil(high), math.ceil(high) + 1)
        if (math.hypot if is_round else max)(abs(x) / wide, abs(y) / high) <= 1
    ]
    spots = {_cell(trial, width, height) for trial in drawn.trials}
    return {
        (column + x, row + y)
        for column, row in spots
        for x, y in stamp
        if 0 <= column + x < width and 0 <= row + y < height
    }


def _cell(trial: PlacedTrial, width: int, height: int) -> tuple[int, int]:
    x, y = (place or 0.0 for place in trial.places)
    return round(x * (width - 1)), round(y * (height - 1))


def _draw_trials(sheet: Sheet, drawn: _Map, best: Scored | None, selected: int | None) -> None:
    """The trials over the shades, as long as these can be seen between them."""
    is_crowded = len(drawn.trials) > sheet.width * sheet.height // _CROWD
    for trial in drawn.trials:
        x, y = (place or 0.0 for place in trial.places)
        if trial.number == selected:
            sheet.mark(x, y, SELECTED, trial.number, 4)
        elif best is not None and trial.number == best.number:
            sheet.mark(x, y, BEST, trial.number, 3)
        elif is_crowded:
            sheet.touch(x, y, trial.number)
        else:
            sheet.mark(x, y, (COMPLETE[0], _TRIAL), trial.number, 2)


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    count = len(axis.categories)
    return [((place + 0.5) / count, value_text(each)) for place, each in enumerate(axis.categories)]


def _head(drawn: _Map, best: Scored | None, stride: int, look: Look) -> list[Content]:
    answer: list[Part] = [
        (drawn.objective.metric, "bold"), (" over ", "$quiet"), (drawn.across.name, "bold"),
        (" → and ", "$quiet"), (drawn.up.name, "bold"), (" ↑", "$quiet"),
    ]  # fmt: skip
    if drawn.up.is_log:
        answer.append((" (log)", "$quiet"))
    scale = drawn.scale
    ends = [scale.low, scale.high]
    if drawn.objective.direction != MAXIMIZE:
        ends.reverse()
    legend = [line((f"{number(ends[0])} ", "$quiet"), (SHADES, _SHADE), f" {number(ends[1])}")]
    if best is not None:
        legend.append(line(BEST, f" {number(best.value)}"))
    if stride > 1:
        legend.append(line((f"from 1 trial in {stride}", "$quiet")))
    return head_lines(line(*answer), legend, look)
