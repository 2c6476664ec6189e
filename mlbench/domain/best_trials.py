"""Which trials of a study are the best: one, or the Pareto front of several objectives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import MAXIMIZE, Objective, Trial


def best_of(
    trials: Iterable[Trial], objectives: Sequence[Objective], count: int = 1
) -> tuple[int, ...]:
    """The numbers of the best trials: of equal ones the earliest, of several objectives the front.

    Of one objective these are `count`, the best first. Only complete trials whose constraints hold
    and whose values are numbers count.
    """
    sound = [trial for trial in trials if _counts(trial, len(objectives))]
    scores = {trial.number: as_costs(trial.values, objectives) for trial in sound}
    if len(objectives) == 1:
        return tuple(sorted(scores, key=lambda number: (scores[number], number))[:count])
    return tuple(sorted(_front(scores)))


def _front(scores: Mapping[int, tuple[float, ...]]) -> list[int]:
    """Those that none dominates; equal ones all are.

    What dominates another comes before it in their order, so only the front so far is asked.
    """
    front: list[int] = []
    costs: list[tuple[float, ...]] = []
    for number in sorted(scores, key=lambda number: scores[number]):
        score = scores[number]
        if not any(dominates(other, score) for other in costs):
            front.append(number)
            if score not in costs[-1:]:
                costs.append(score)
    return front


def as_costs(values: Sequence[float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The values turned so that less is better in each."""
    return tuple(
        -value if objective.direction == MAXIMIZE else value
        for value, objective in zip(values, objectives, strict=True)
    )


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether costs are nowhere worse than others and somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _counts(trial: Trial, objectives: int) -> bool:
    return (
        trial.state is TrialState.COMPLETE
        and trial.is_feasible
        and len(trial.values) == objectives
        and not any(map(math.isnan, trial.values))
    )
