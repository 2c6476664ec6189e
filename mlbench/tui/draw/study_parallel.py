"""Parallel coordinates of trials: every parameter an axis, the objective the last one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.domain.study_axes import short_names, value_text
from mlbench.domain.sweeps import MAXIMIZE, Dimension, StudyView
from mlbench.tui.draw.lines import Part, line
from mlbench.tui.draw.parallel import Axis, Thread, shown_axes, threaded
from mlbench.tui.draw.study_plot import (
    Chart,
    Look,
    Scale,
    boxed,
    head_lines,
    said,
    scale_over,
)
from mlbench.tui.draw.study_trials import (
    BEST,
    SELECTED,
    Scored,
    axis_among,
    best_scored,
    ends_of,
    scored,
    share_on,
)

_MOST_BRIGHT, _MOST_DIM = 12, 60
_TENTH = 10


def parallel_chart(
    view: StudyView, objective: int, shares: Mapping[str, float], look: Look
) -> Chart:
    """The best tenth bright, others dim; what matters most by `shares` stands by the objective."""
    sweep = view.study.sweep
    wanted = sweep.objectives[objective]
    points = scored(view.trials, objective)
    best = best_scored(points, wanted)
    scale = scale_over((p.value for p in points), (best.value,) if best else (), is_log=look.is_log)
    if scale is None:
        return said("No trial has a value yet.", look)
    turn = -1 if wanted.direction == MAXIMIZE else 1
    ranked = sorted(points, key=lambda p: (not p.is_feasible, turn * p.value, p.number))
    drawn = _drawn(ranked, look.selected)
    names = short_names([dimension.name for dimension in sweep.space])
    space = sorted(sweep.space, key=lambda dimension: shares.get(dimension.name, 0.0))
    axes = [_axis(dimension, view, drawn, names[dimension.name]) for dimension in space]
    axes.append(_objective_axis(wanted.metric, scale, drawn))
    threads = _threads(drawn, len(ranked), best, look.selected)
    missing = len(axes) - len(shown_axes(axes, look.width))
    head = _head(best, drawn, len(points), missing, look)
    lines = threaded(axes, threads, look.width, look.height - len(head))
    return boxed([*head, *lines], look)


def _drawn(ranked: Sequence[Scored], selected: int | None) -> list[Scored]:
    """The best and, spread evenly over all others, as many as can be told apart; best first."""
    bright, rest = ranked[:_MOST_BRIGHT], ranked[_MOST_BRIGHT:]
    stride = -(-len(rest) // _MOST_DIM) or 1
    chosen = [point for point in rest if point.number == selected]
    return [*bright, *(p for p in rest[::stride] if p.number != selected), *chosen]


def _threads(
    drawn: Sequence[Scored], count: int, best: Scored | None, selected: int | None
) -> list[Thread]:
    """What matters more comes later, and lies above."""
    bright = min(_MOST_BRIGHT, max(1, count // _TENTH))
    threads = []
    for place, point in reversed(list(enumerate(drawn))):
        is_best = best is not None and point.number == best.number
        if point.number == selected or is_best:
            continue
        style = "$info" if place < bright and point.is_feasible else "$quiet dim"
        threads.append(Thread(str(point.number), style))
    if best is not None:
        threads.append(Thread(str(best.number), BEST[1], BEST[0]))
    if selected is not None:
        threads.append(Thread(str(selected), SELECTED[1], SELECTED[0]))
    return threads


def _axis(dimension: Dimension, view: StudyView, drawn: Sequence[Scored], name: str) -> Axis:
    axis = axis_among(dimension, view.trials)
    share = share_on(axis, is_spread=False)
    places = {}
    for point in drawn:
        value = point.trial.params.get(dimension.name)
        place = None if value is None else share(value, 0)
        if place is not None:
            places[str(point.number)] = place
    low, high = ends_of(axis)
    if axis.categories:
        count = len(axis.categories)
        words = {value_text(e): (at + 0.5) / count for at, e in enumerate(axis.categories)}
        return Axis(name, "", "", places, words)
    return Axis(name, low, f"{high} log" if axis.is_log else high, places)


def _objective_axis(metric: str, scale: Scale, drawn: Sequence[Scored]) -> Axis:
    places = {str(point.number): scale.share(point.value) for point in drawn}
    high = f"{number(scale.high)} log" if scale.is_log else number(scale.high)
    return Axis(metric, number(scale.low), high, places)


def _head(
    best: Scored | None, drawn: Collection[Scored], count: int, missing: int, look: Look
) -> list[Content]:
    answer: list[Part] = [BEST, " "]
    if best is None:
        answer = [("no trial holds the constraints", "$warn")]
    else:
        answer += [f"{number(best.value)}", (f" in trial {best.number}", "$quiet")]
    legend = []
    if len(drawn) < count:
        legend.append(line((f"{len(drawn)} of {count} drawn, the best among them", "$quiet")))
    if missing:
        legend.append(line((f"{missing} more axes in a wider window", "$quiet")))
    if any(point.number == look.selected for point in drawn):
        legend.append(line(SELECTED, f" trial {look.selected}"))
    return head_lines(line(*answer), legend, look)
