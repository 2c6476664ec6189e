"""What the trials of a study tell, as values to draw: pure, from its board alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

from mlbench.domain.best_trials import as_costs, best_of
from mlbench.domain.outcomes import TrialState
from mlbench.domain.records import dataclass
from mlbench.domain.study_axes import Axis, axis_of, axis_over
from mlbench.domain.sweeps import Dimension, Objective, Sweep, Trial


@dataclass(frozen=True, slots=True)
class Importances:
    """How much each parameter matters for one objective; the greatest first, 1 in all.

    `evaluator` is Optuna's name for how it was found out, over so many `trials`. Where there are no
    `shares`, `because` says why in one sentence.
    """

    metric: str
    shares: Mapping[str, float] = field(default_factory=dict)
    evaluator: str = ""
    trials: int = 0
    because: str = ""


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """A trial that has ended: its value, if it came to one, and the best until then.

    `best` is that of complete trials whose constraints hold; None before there is one.
    """

    number: int
    state: TrialState
    value: float | None
    best: float | None
    is_feasible: bool


@dataclass(frozen=True, slots=True)
class PlacedTrial:
    """A complete trial on some axes: its places, None where it has no value there."""

    number: int
    places: tuple[float | None, ...]
    value: float
    is_feasible: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Complete trials on axes: one for a slice, two for a contour, more for parallel coordinates.

    `values` is the axis of the objective that colours or heightens them.
    """

    axes: tuple[Axis, ...]
    values: Axis
    trials: tuple[PlacedTrial, ...]


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A complete trial by the values of two objectives."""

    number: int
    x: float
    y: float
    is_on_front: bool
    is_feasible: bool


@dataclass(frozen=True, slots=True)
class TrialCurve:
    """What a trial logged by step, as far as it came."""

    number: int
    state: TrialState
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StudySummary:
    """How many trials stand how; `ended` count towards those that a study is to have.

    `feasible` are complete and within their constraints; `since_better` have ended since the last
    that was better than all before, or came to the Pareto front.
    """

    counts: Mapping[TrialState, int]
    ended: int
    feasible: int
    since_better: int


def history(
    trials: Iterable[Trial], objectives: Sequence[Objective], objective: int = 0
) -> tuple[HistoryPoint, ...]:
    """Every trial that has ended, in the order in which they did."""
    wanted = objectives[objective]
    points: list[HistoryPoint] = []
    best: float | None = None
    for trial in in_order(trials):
        value = _value(trial, objective)
        if value is not None and trial.is_feasible and _is_better(value, best, wanted):
            best = value
        points.append(HistoryPoint(trial.number, trial.state, value, best, trial.is_feasible))
    return tuple(points)


def chart(trials: Iterable[Trial], sweep: Sweep, names: Sequence[str], objective: int = 0) -> Chart:
    """Complete trials by these parameters: a slice by one, a contour by two.

    Trials that lack one of them are left out. KeyError for a name that the space does not have.
    """
    trials = list(trials)
    axes = tuple(axis_of(_dimension(sweep, name), trials) for name in names)
    placed = (_placed(trial, axes, objective) for trial in trials)
    whole = tuple(each for each in placed if each is not None and None not in each.places)
    return Chart(axes, _objective_axis(trials, sweep, objective), whole)


def parallel_coordinates(trials: Iterable[Trial], sweep: Sweep, objective: int = 0) -> Chart:
    """Complete trials by all parameters, and then by all objectives."""
    trials = list(trials)
    params = tuple(axis_of(dimension, trials) for dimension in sweep.space)
    metrics = tuple(_objective_axis(trials, sweep, place) for place in range(len(sweep.objectives)))
    placed = []
    for trial in trials:
        found = _placed(trial, params, objective)
        if found is not None:
            ends = (axis.place(value) for axis, value in zip(metrics, trial.values, strict=True))
            placed.append(replace(found, places=(*found.places, *ends)))
    axes = (*params, *metrics)
    return Chart(axes, _objective_axis(trials, sweep, objective), tuple(placed))


def pareto(
    trials: Iterable[Trial], objectives: Sequence[Objective], first: int = 0, second: int = 1
) -> tuple[FrontPoint, ...]:
    """Complete trials by two objectives; the front is that over all objectives."""
    trials = list(trials)
    front = set(best_of(trials, objectives))
    points = []
    for trial in trials:
        x, y = _value(trial, first), _value(trial, second)
        if x is not None and y is not None:
            on_front = trial.number in front
            points.append(FrontPoint(trial.number, x, y, on_front, trial.is_feasible))
    return tuple(points)


def trial_curves(
    trials: Iterable[Trial], logged: Mapping[int, Sequence[tuple[int, float]]]
) -> tuple[TrialCurve, ...]:
    """The curves of trials that logged anything: points (step, value) by their numbers.

    They come in the order of their steps; of several at one step the last counts, and those that
    are no finite number are left out.
    """
    curves = []
    for trial in trials:
        latest = dict(logged.get(trial.number, ()))
        points = sorted((step, value) for step, value in latest.items() if math.isfinite(value))
        if points:
            steps, values = zip(*points, strict=True)
            curves.append(TrialCurve(trial.number, trial.state, steps, values))
    return tuple(curves)


def summary(trials: Iterable[Trial], objectives: Sequence[Objective]) -> StudySummary:
    """Trials counted."""
    trials = list(trials)
    counts = Counter(trial.state for trial in trials)
    return StudySummary(
        counts,
        sum(count for state, count in counts.items() if state.has_ended),
        sum(trial.state is TrialState.COMPLETE and trial.is_feasible for trial in trials),
        since_better(trials, objectives),
    )


def since_better(trials: Iterable[Trial], objectives: Sequence[Objective]) -> int:
    """How many trials have ended since one was better than all before, or came to the front.

    One that equals an earlier one is no better; all count where none is the best yet.
    """
    ended = in_order(trials)
    best = set(best_of(ended, objectives))
    seen: set[tuple[float, ...]] = set()
    latest = -1
    for place, trial in enumerate(ended):
        if trial.number not in best:
            continue
        costs = as_costs(trial.values, objectives)
        if costs not in seen:
            seen.add(costs)
            latest = place
    return len(ended) - 1 - latest


def in_order(trials: Iterable[Trial]) -> list[Trial]:
    """Those that have ended, in the order in which they did."""
    ended = (trial for trial in trials if trial.state.has_ended)
    return sorted(ended, key=lambda trial: (trial.ended, trial.number))


def _placed(trial: Trial, axes: Iterable[Axis], objective: int) -> PlacedTrial | None:
    """None for a trial without a value."""
    value = _value(trial, objective)
    if value is None:
        return None
    places = tuple(axis.place(trial.params.get(axis.name)) for axis in axes)
    return PlacedTrial(trial.number, places, value, trial.is_feasible)


def _objective_axis(trials: Iterable[Trial], sweep: Sweep, objective: int) -> Axis:
    values = [value for trial in trials if (value := _value(trial, objective)) is not None]
    return axis_over(sweep.objectives[objective].metric, values)


def _value(trial: Trial, objective: int) -> float | None:
    """A complete trial's value, where it is a finite number."""
    if trial.state is not TrialState.COMPLETE or objective >= len(trial.values):
        return None
    value = trial.values[objective]
    return value if math.isfinite(value) else None


def _is_better(value: float, best: float | None, objective: Objective) -> bool:
    return best is None or as_costs((value,), (objective,)) < as_costs((best,), (objective,))


def _dimension(sweep: Sweep, name: str) -> Dimension:
    for dimension in sweep.space:
        if dimension.name == name:
            return dimension
    raise KeyError(name)
