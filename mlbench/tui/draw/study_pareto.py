"""The Pareto front of two objectives: every complete trial a point, the front marked and joined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

from textual.content import Content

from mlbench.domain.phrases import plural
from mlbench.domain.study_analysis import FrontPoint
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
from mlbench.tui.draw.study_trials import BEST, COMPLETE, INFEASIBLE, SELECTED, scored

_FRONT_LINE = "$ok"
_CROWD = 6


def pairs_of(objectives: Sequence[Objective]) -> list[tuple[int, int]]:
    """Which objectives can stand against each other, the first ones first."""
    return list(combinations(range(len(objectives)), 2))


def pareto_chart(view: StudyView, pair: int, look: Look) -> Chart:
    """Two objectives, the first of the pair across; the front is that over all objectives."""
    objectives = view.study.sweep.objectives
    every = pairs_of(objectives)
    if not every:
        return said("A Pareto front needs several objectives.", look)
    first, second = every[pair % len(every)]
    points = _points(view, first, second)
    front = [point for point in points if point.is_on_front]
    across = scale_over((point.x for point in points), (point.x for point in front))
    up = scale_over((point.y for point in points), (point.y for point in front), is_log=look.is_log)
    if across is None or up is None:
        return said("No trial has values of both objectives yet.", look)
    ends = Frame([], across).labels(2)
    frame = Frame(
        _head(
            points, objectives[first], objectives[second], has_more=len(objectives) > 2, look=look
        ),
        up,
        (ends.get(1, ""), "$quiet"),
        (objectives[first].metric, "bold"),
        (ends.get(0, ""), "$quiet"),
    )
    sheet = sheet_for(frame, look)
    if len(objectives) == 2:
        _join(sheet, front, across, up, objectives[first])
    _draw(sheet, points, across, up, look.selected)
    return framed(frame, sheet, look)


def _points(view: StudyView, first: int, second: int) -> list[FrontPoint]:
    """The complete trials; the front is taken as it is known: to find it takes long."""
    front = set(view.best)
    heights = {point.number: point.value for point in scored(view.trials, second)}
    return [
        FrontPoint(
            point.number,
            point.value,
            heights[point.number],
            point.number in front,
            point.is_feasible,
        )
        for point in scored(view.trials, first)
        if point.number in heights
    ]


def _draw(
    sheet: Sheet, points: Sequence[FrontPoint], across: Scale, up: Scale, selected: int | None
) -> None:
    is_crowded = len(points) > sheet.width * sheet.height // _CROWD
    for point in points:
        place = across.share(point.x), up.share(point.y)
        arrow = _outside(point, across, up)
        if point.number == selected:
            sheet.mark(*place, SELECTED, point.number, 4)
        elif point.is_on_front:
            sheet.mark(*place, BEST, point.number, 3)
        elif arrow:
            sheet.mark(*place, (arrow, "$warn"), point.number, 2)
        elif not point.is_feasible:
            sheet.mark(*place, INFEASIBLE, point.number, -1 if is_crowded else 1)
        elif is_crowded:
            sheet.speck(*place, COMPLETE[1], point.number)
        else:
            sheet.mark(*place, COMPLETE, point.number, 2)


def _outside(point: FrontPoint, across: Scale, up: Scale) -> str:
    if point.y > up.high:
        return "▴"
    if point.y < up.low:
        return "▾"
    return "▸" if point.x > across.high else "◂" if point.x < across.low else ""


def _join(
    sheet: Sheet, front: Sequence[FrontPoint], across: Scale, up: Scale, first: Objective
) -> None:
    """Steps from point to point: what lies behind them is dominated."""
    ordered = sorted({(point.x, point.y) for point in front})
    for left, right in pairwise(ordered):
        # Where more is better across, the left point's height is what the right one gives up.
        corner = (left[0], right[1]) if first.direction == MAXIMIZE else (right[0], left[1])
        places = [sheet.at(across.share(x), up.share(y)) for x, y in (left, corner, right)]
        sheet.stroke(places[0], places[1], _FRONT_LINE)
        sheet.stroke(places[1], places[2], _FRONT_LINE)


def _head(
    points: Sequence[FrontPoint], first: Objective, second: Objective, *, has_more: bool, look: Look
) -> list[Content]:
    corner = {
        (True, True): "upper right", (True, False): "lower right",
        (False, True): "upper left", (False, False): "lower left",
    }[first.direction == MAXIMIZE, second.direction == MAXIMIZE]  # fmt: skip
    answer: list[Part] = [
        (second.metric, "bold"), (" over ", "$quiet"), (first.metric, "bold"),
        (f"  better: {corner}", "$quiet"),
    ]  # fmt: skip
    on_front = sum(point.is_on_front for point in points)
    rings = sum(not point.is_feasible for point in points)
    legend = [line(BEST, f" {plural(on_front, 'trial')}", (" on the front", "$quiet"))]
    if has_more:
        legend.append(line(("of all objectives", "$quiet")))
    legend += [line(COMPLETE, f" {len(points) - on_front - rings}", (" others", "$quiet"))]
    legend += [line(INFEASIBLE, f" {rings}", (" infeasible", "$quiet"))] * bool(rings)
    return head_lines(line(*answer), legend, look)
