"""What the trials of a study logged by step, over each other, for `mlbench sweep NAME --show`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from mlbench.cli.sweep_marks import Lines, framed
from mlbench.cli.sweep_plot import BEST_CURVE, CURVE, CUT, Mark
from mlbench.domain.outcomes import TrialState
from mlbench.domain.study_analysis import TrialCurve, trial_curves
from mlbench.domain.study_axes import Axis, axis_over
from mlbench.domain.sweeps import StudyView

_ROWS = 11
# From so many times the least value on, a linear scale shows the greatest ones alone.
_DECADES = 30.0


def curves_block(view: StudyView, width: int) -> Lines:
    """The curves with the best trial's above all; nothing where no trial logged any."""
    curves = trial_curves(view.trials, {trial.number: trial.curve for trial in view.trials})
    if not curves:
        return []
    steps = axis_over("step", [step for curve in curves for step in curve.steps])
    values = _scale(view.study.sweep.watched.metric, curves)
    best = set(view.best[:1])
    marks = [
        mark for curve in curves for mark in _marks(curve, steps, values, curve.number in best)
    ]
    signs = {mark.sign for mark in marks}
    legend = [(BEST_CURVE, "best"), (CURVE, "others"), (CUT, "pruned")]
    told = "  ".join(f"{sign} {word}" for sign, word in legend if sign in signs)
    ends = (f"{steps.low:.0f}", f"{steps.high:.0f}")
    title = f"{values.name} by step{' (log)' if values.is_log else ''}"
    return [f"{title}   {told}", *framed(marks, values, width, _ROWS, ends)]


def _scale(metric: str, curves: Iterable[TrialCurve]) -> Axis:
    axis = axis_over(metric, [value for curve in curves for value in curve.values])
    return replace(axis, is_log=axis.low > 0 and axis.high / axis.low >= _DECADES)


def _marks(curve: TrialCurve, steps: Axis, values: Axis, is_best: bool) -> Iterable[Mark]:
    """Its points, and between those of the best the line; where it was pruned the last is cut."""
    points = [
        (steps.place(step) or 0.0, values.place(value) or 0.0)
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]
    sign = BEST_CURVE if is_best else CURVE
    yield from (Mark(x, y, sign) for x, y in points)
    if is_best:
        for one, other in pairwise(points):
            yield from _between(one, other)
    if curve.state is TrialState.PRUNED:
        yield Mark(*points[-1], CUT)


def _between(one: tuple[float, float], other: tuple[float, float]) -> Iterable[Mark]:
    """A line as fine as any terminal needs it."""
    count = max(1, round((other[0] - one[0]) * 200))
    for at in range(1, count):
        share = at / count
        x = one[0] + share * (other[0] - one[0])
        yield Mark(x, one[1] + share * (other[1] - one[1]), BEST_CURVE)
