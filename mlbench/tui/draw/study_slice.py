"""A slice: the value over one parameter, each trial a point."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.domain.study_axes import Axis, value_text
from mlbench.domain.sweeps import StudyView
from mlbench.tui.draw.lines import Part, cell, line
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
from mlbench.tui.draw.study_points import beyond, draw_points
from mlbench.tui.draw.study_trials import (
    BEST,
    INFEASIBLE,
    Scored,
    axis_among,
    best_scored,
    better,
    ends_of,
    scored,
    share_on,
    title_of,
)

_TYPICAL = "$quiet"
_LEAST_COLUMN = 3


def slice_chart(view: StudyView, objective: int, param: int, look: Look) -> Chart:
    """Values over the parameter that stands at this place in the space."""
    sweep = view.study.sweep
    wanted, name = sweep.objectives[objective], sweep.space[param].name
    every = scored(view.trials, objective)
    points = [point for point in every if name in point.trial.params]
    best = best_scored(every, wanted)
    kept = best_scored(points, wanted)
    scale = scale_over((p.value for p in points), (kept.value,) if kept else (), is_log=look.is_log)
    if scale is None:
        return said(f"No trial with a value had {name} yet.", look)
    axis = axis_among(sweep.space[param], view.trials)
    answer = _answer(name, best, wanted.metric)
    answer.append((f"  {better(wanted)}", "$quiet"))
    legend = [*beyond(points, scale), *_legend(points, len(every), axis)]
    head = head_lines(line(*answer), legend, look)
    left, right = ("", "") if axis.categories else ends_of(axis)
    middle = (title_of(name, axis), "bold")
    frame = Frame(head, scale, (left, "$quiet"), middle, (right, "$quiet"))
    sheet = sheet_for(frame, look, below=1 if axis.categories else 0)
    if axis.categories:
        _draw_typical(sheet, points, scale, axis)
    share, chosen = share_on(axis), (best.number,) if best else ()
    draw_points(
        sheet, points, scale, chosen, look.selected,
        lambda point: share(point.trial.params[name], point.number),
    )  # fmt: skip
    words = [column_names(axis, sheet.width)] if axis.categories else []
    return framed(frame, sheet, look, words)


def column_names(axis: Axis, width: int) -> Content:
    """The words of an axis, each in the middle of its column."""
    words = [value_text(each) for each in axis.categories]
    edges = [round(place * width / len(words)) for place in range(len(words) + 1)]
    parts: list[Part] = []
    for text, start, end in zip(words, edges, edges[1:], strict=False):
        room = end - start
        shown = line(text) if room > _LEAST_COLUMN else line("")
        shown = cell(shown, room - 1) if shown.cell_length >= room else shown
        parts.append(cell(line(" " * ((room - shown.cell_length) // 2), shown), room))
    return line(*parts)


def _draw_typical(sheet: Sheet, points: Sequence[Scored], scale: Scale, axis: Axis) -> None:
    """A line at the median of each word's column."""
    values: dict[str, list[float]] = {}
    for point in points:
        if point.is_feasible:
            values.setdefault(value_text(point.trial.params[axis.name]), []).append(point.value)
    count = len(axis.categories)
    for place, choice in enumerate(axis.categories):
        found = values.get(value_text(choice))
        if found:
            up = scale.share(median(found))
            start, end = ((place + side) / count for side in (0.1, 0.9))
            sheet.stroke(sheet.at(start, up), sheet.at(end, up), _TYPICAL)


def _answer(name: str, best: Scored | None, metric: str) -> list[Part]:
    """What is drawn, and where the best trial stands."""
    parts: list[Part] = [(metric, "bold"), (" by ", "$quiet"), (name, "bold"), "  "]
    if best is None:
        return [*parts, ("no trial holds the constraints", "$warn")]
    parts += [BEST, f" {number(best.value)}"]
    if name in best.trial.params:
        parts += [(" at ", "$quiet"), value_text(best.trial.params[name])]
    return parts


def _legend(points: Sequence[Scored], count: int, axis: Axis) -> list[Content]:
    rings = sum(not point.is_feasible for point in points)
    legend = [line(INFEASIBLE, f" {rings}", (" infeasible", "$quiet"))] if rings else []
    if count > len(points):
        legend.append(line((f"{count - len(points)} without it", "$quiet")))
    if axis.categories:
        legend.append(line(("⠒⠒ median", _TYPICAL)))
    return legend
