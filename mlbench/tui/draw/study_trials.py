"""Trials as charts need them: values that count, names in short, axes of parameters, signs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from textual.content import Content

from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import number
from mlbench.domain.study_axes import Axis, axis_of, is_number, value_text
from mlbench.domain.sweeps import MAXIMIZE, Dimension, Objective, StudyView, Trial
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.study_plot import Scale

BEST = ("★", "bold $ok")
COMPLETE = ("•", "$info")
INFEASIBLE = ("○", "$warn")
SELECTED = ("◆", "bold $warn")
ABOVE, BELOW = "▴", "▾"
_NUMBERS = (int, float)
_SPREAD, _GOLDEN = 0.7, 0.6180339887498949


class Scored(NamedTuple):
    """A complete trial with a finite value of the objective looked at."""

    trial: Trial
    value: float
    number: int
    is_feasible: bool


Share = Callable[[Any, int], float | None]
"""Where a value stands across a chart, from 0 to 1; the trial's number spreads equal words."""


def share_on(axis: Axis, *, is_spread: bool = True) -> Share:
    """Where values stand on an axis; each of its categories has a column of its own.

    There they are spread, or all stand in its middle.

    What was asked before is not worked out again: a chart has the same few words many times.
    """
    known: dict[str, float | None] = {}
    count = len(axis.categories)
    if not count:
        place_on = Scale(axis.low, axis.high, axis.is_log).placing()
        return lambda value, _: place_on(value) if is_number(value) else None

    def share(value: Any, trial: int) -> float | None:
        key = repr(value)
        if key not in known:
            known[key] = axis.place(value)
        place = known[key]
        if place is None:
            return None
        column = place * (count - 1) if count > 1 else 0.0
        # The golden ratio's multiples lie evenly, however many there are.
        beside = (trial * _GOLDEN % 1.0 - 0.5) * _SPREAD if is_spread else 0.0
        return (column + 0.5 + beside) / count

    return share


def axis_among(dimension: Dimension, trials: Iterable[Trial]) -> Axis:
    """As `axis_of`, but quick: of many trials only those are looked at that can widen the axis."""
    name = dimension.name
    tried = [trial for trial in trials if name in trial.params]
    if tried and dimension.range and all(type(t.params[name]) in _NUMBERS for t in tried):
        ends = [pick(tried, key=lambda trial: trial.params[name]) for pick in (min, max)]
        return axis_of(dimension, ends)
    return axis_of(dimension, {repr(trial.params[name]): trial for trial in tried}.values())


def ends_of(axis: Axis) -> tuple[str, str]:
    """What stands at the lower and at the upper end of an axis of numbers."""
    if axis.categories:
        return value_text(axis.categories[0]), value_text(axis.categories[-1])
    return number(axis.low), number(axis.high)


def title_of(name: str, axis: Axis) -> str:
    """Its name, and that it is logarithmic."""
    return f"{name} (log)" if axis.is_log else name


def scored(trials: Iterable[Trial], objective: int) -> list[Scored]:
    """The complete trials with a finite value of this objective, in their order."""
    # Most trials have no constraints: to ask each for whether they hold takes long.
    return [
        Scored(trial, value, trial.number, not trial.constraints or trial.is_feasible)
        for trial in trials
        if trial.state is TrialState.COMPLETE
        and objective < len(trial.values)
        and math.isfinite(value := trial.values[objective])
    ]


def best_scored(points: Sequence[Scored], objective: Objective) -> Scored | None:
    """The best of those that hold the constraints; of equal ones the earliest."""
    sound = [point for point in points if point.is_feasible]
    turn = -1 if objective.direction == MAXIMIZE else 1
    return min(sound, key=lambda point: (turn * point.value, point.number), default=None)


def sign_of(
    point: Scored, best: Collection[int], selected: int | None
) -> tuple[tuple[str, str], int]:
    """A trial's sign and its rank: what matters more stands over what matters less."""
    if point.number == selected:
        return SELECTED, 4
    if point.number in best:
        return BEST, 3
    return (COMPLETE, 2) if point.is_feasible else (INFEASIBLE, 1)


def better(objective: Objective) -> str:
    """Which way is better, as an arrow and a word."""
    return "▲ better" if objective.direction == MAXIMIZE else "▼ better"


def legend_of(view: StudyView, points: Sequence[Scored]) -> list[Content]:
    """The signs of all trials, with how many have them."""
    feasible = sum(point.is_feasible for point in points)
    states = Counter(trial.state for trial in view.trials)
    others = (TrialState.PRUNED, TrialState.FAILED, TrialState.RUNNING)
    told = [(COMPLETE, feasible, "complete"), (INFEASIBLE, len(points) - feasible, "infeasible")]
    told += [((s.glyph, f"${s.colour}"), states[s], s.word) for s in others]
    return [line(sign, f" {count}", (f" {word}", "$quiet")) for sign, count, word in told if count]
