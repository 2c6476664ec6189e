"""What the trials logged by step, over each other: where each ended, and which still run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from textual.content import Content

from mlbench.domain.outcomes import TrialState
from mlbench.domain.study_analysis import TrialCurve, trial_curves
from mlbench.domain.sweeps import StudyView, Trial
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
from mlbench.tui.draw.study_trials import BEST, SELECTED

Logged = Mapping[int, Sequence[tuple[int, float]]]
"""Points (step, value) by a trial's number."""

MOST_CURVES = 120
"""How many are drawn at most: more can't be told apart, and cost time."""

_STYLES = {TrialState.RUNNING: "$accent", TrialState.COMPLETE: "$info", TrialState.FAILED: "$fail"}
_PRUNED = "$quiet dim"


def curves_chart(view: StudyView, logged: Logged | None, look: Look) -> Chart:
    """The curves; pruned ones lie lowest, the best and the selected one above all others."""
    if logged is None:
        return said("reading the curves …", look)
    wanted = drawn_trials(view, logged, look.selected)
    curves = [_thinned(each, 2 * look.width) for each in trial_curves(wanted, logged)]
    best = set(view.best[:1])
    ordered = sorted(curves, key=lambda curve: _rank(curve, best, look.selected))
    kept = [v for curve in ordered if curve.number in best for v in curve.values]
    scale = scale_over((v for each in ordered for v in each.values), kept, is_log=look.is_log)
    if scale is None:
        return said("No trial has logged anything by step.", look)
    first = min(curve.steps[0] for curve in ordered)
    last = max(curve.steps[-1] for curve in ordered)
    frame = Frame(
        _head(view, ordered, sum(map(bool, logged.values())), scale, look),
        scale,
        (str(first), "$quiet"),
        ("step", "$quiet"),
        (str(last), "$quiet"),
    )
    sheet = sheet_for(frame, look)
    for rank, curve in enumerate(ordered):
        _draw(sheet, curve, (first, last), scale, _looks(curve, best, look.selected), rank)
    return framed(frame, sheet, look)


def drawn_trials(view: StudyView, logged: Logged, selected: int | None) -> list[Trial]:
    """The trials whose curves are drawn: of too many the best, the running and the newest."""
    some = [trial for trial in view.trials if logged.get(trial.number)]
    if len(some) <= MOST_CURVES:
        return some
    chosen = {*view.best[:1], selected}
    some.sort(
        key=lambda t: (t.number in chosen, t.state is TrialState.RUNNING, t.number), reverse=True
    )
    return some[:MOST_CURVES]


def _thinned(curve: TrialCurve, most: int) -> TrialCurve:
    """The curve with no more points than can be told apart; its last one stays."""
    stride = -(-len(curve.steps) // max(1, most))
    if stride <= 1:
        return curve
    places = [*range(0, len(curve.steps) - 1, stride), len(curve.steps) - 1]
    return TrialCurve(
        curve.number,
        curve.state,
        tuple(curve.steps[place] for place in places),
        tuple(curve.values[place] for place in places),
    )


def _rank(curve: TrialCurve, best: set[int], selected: int | None) -> tuple[bool, bool, int, int]:
    order = (TrialState.PRUNED, TrialState.FAILED, TrialState.COMPLETE, TrialState.RUNNING)
    place = order.index(curve.state) if curve.state in order else 0
    return (curve.number == selected, curve.number in best, place, curve.number)


def _looks(curve: TrialCurve, best: set[int], selected: int | None) -> tuple[str, tuple[str, str]]:
    """A curve's style, and the sign where it ends."""
    if curve.number == selected:
        return SELECTED[1], SELECTED
    if curve.number in best:
        return BEST[1], BEST
    style = _STYLES.get(curve.state, _PRUNED)
    if curve.state is TrialState.COMPLETE:
        return style, ("", style)
    return style, (curve.state.glyph, style.removesuffix(" dim"))


def _draw(
    sheet: Sheet,
    curve: TrialCurve,
    steps: tuple[int, int],
    scale: Scale,
    looks: tuple[str, tuple[str, str]],
    rank: int,
) -> None:
    style, sign = looks
    span = max(1, steps[1] - steps[0])
    shares = [(step - steps[0]) / span for step in curve.steps]
    dots = [sheet.at(x, scale.share(v)) for x, v in zip(shares, curve.values, strict=True)]
    sheet.dot(*dots[0], style)
    for start, end in pairwise(dots):
        sheet.stroke(start, end, style)
    if sign[0]:
        sheet.mark(shares[-1], scale.share(curve.values[-1]), sign, curve.number, rank)
    else:
        sheet.touch(shares[-1], scale.share(curve.values[-1]), curve.number)


def _head(
    view: StudyView, curves: Sequence[TrialCurve], logged: int, scale: Scale, look: Look
) -> list[Content]:
    sweep = view.study.sweep
    metric = sweep.intermediate or sweep.objectives[0]
    answer: list[Part] = [(metric.metric, "bold"), (" by step", "$quiet")]
    if scale.is_log:
        answer.append((" log", "$quiet"))
    if len(curves) < logged:
        answer.append((f"  {len(curves)} of {logged} curves", "$quiet"))
    above = sum(max(curve.values) > scale.high for curve in curves)
    below = sum(min(curve.values) < scale.low for curve in curves)
    answer.append((f"  ▴ {above} go above" if above else "", "$warn"))
    answer.append((f"  ▾ {below} go below" if below else "", "$warn"))
    legend = [line(BEST, (" best", "$quiet"))] if view.best else []
    for state in (TrialState.RUNNING, TrialState.PRUNED, TrialState.FAILED):
        count = sum(curve.state is state for curve in curves)
        if count:
            sign = (state.glyph, f"${state.colour}")
            legend.append(line(sign, f" {count}", (f" {state.word}", "$quiet")))
    return head_lines(line(*answer), legend, look)
