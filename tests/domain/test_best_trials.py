"""The best of a study's trials, and the front of several objectives."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.best_trials import as_costs, best_of, dominates
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Objective, Trial

MOST, LEAST = Objective("accuracy", "maximize"), Objective("size", "minimize")
small = st.integers(0, 4).map(float)


def complete(number: int, *values: float) -> Trial:
    return Trial(number, TrialState.COMPLETE, values=values)


def test_of_equal_ones_the_earliest_is_the_best() -> None:
    trials = [complete(0, 0.5), complete(1, 0.9), complete(2, 0.9)]
    assert best_of(trials, [MOST]) == (1,)
    assert best_of(trials, [LEAST]) == (0,)
    assert best_of(trials, [MOST], 2) == (1, 2)


def test_only_sound_trials_count() -> None:
    trials = [
        Trial(0, TrialState.PRUNED, values=(0.99,)),
        Trial(1, TrialState.COMPLETE, values=(0.98,), constraints={"seconds < 9": 1.0}),
        complete(2, math.nan),
        complete(3, 0.1),
    ]
    assert best_of(trials, [MOST]) == (3,)
    assert best_of(trials[:3], [MOST]) == ()


@given(st.lists(st.tuples(small, small, small), max_size=30))
def test_the_front_is_all_that_nothing_dominates(points: list[tuple[float, ...]]) -> None:
    goals = [MOST, LEAST, MOST]
    trials = [complete(number, *values) for number, values in enumerate(points)]
    costs = [as_costs(values, goals) for values in points]
    expected = tuple(
        number
        for number, mine in enumerate(costs)
        if not any(dominates(other, mine) for other in costs)
    )
    assert best_of(trials, goals) == expected
