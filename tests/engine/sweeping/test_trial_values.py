"""Objectives and constraints over the runs of a trial."""

from __future__ import annotations

import math

import pytest

from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import CodeState, Run
from mlbench.domain.sweeps import Dimension, Objective, Range, Sweep
from mlbench.engine.sweeping.trial_values import Facts, distance, worth_of

SWEEP = Sweep(
    "small",
    "train",
    (Objective("accuracy", "maximize"), Objective("metrics.size", "minimize")),
    (Dimension("alpha", Range(0.0, 1.0)),),
    constraints=("seconds <= 60", "accuracy > 0.5"),
)


def run(**metrics: float) -> Run:
    code = CodeState()
    return Run("r", "r", RunOutcome.PASSED, "sweep", "me", "", 1.0, code, {"alpha": 1}, metrics, {})


def test_means_and_spread_over_the_repeats() -> None:
    runs = [run(accuracy=0.6, size=2.0), run(accuracy=0.8, size=4.0)]
    worth = worth_of(SWEEP, runs, 50.0)
    assert worth.values == pytest.approx((0.7, 3.0))
    assert worth.spread == pytest.approx((math.sqrt(0.02), math.sqrt(2.0)))
    assert worth.constraints == pytest.approx({"seconds <= 60": -10.0, "accuracy > 0.5": -0.2})


def test_one_repeat_scatters_by_nothing() -> None:
    assert worth_of(SWEEP, [run(accuracy=0.6, size=2.0)], 50.0).spread == (0.0, 0.0)


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ({"size": 1.0}, "the objective: accuracy is no metric"),
        ({"size": 1.0, "accuracy": math.nan}, "accuracy is nan"),
        ({"size": 1.0, "accuracy": math.inf}, "accuracy is inf"),
    ],
)
def test_what_has_no_number_is_said(metrics: dict[str, float], problem: str) -> None:
    with pytest.raises(SweepError, match=problem):
        worth_of(SWEEP, [run(**metrics)], 1.0)


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("accuracy >= 0.9", 0.1),
        ("0.9 < accuracy", 0.1),
        ("accuracy <= 0.9", -0.1),
        ("accuracy >= 0.9 or alpha == 1", 0.0),
        ("not alpha == 1", 1.0),
        ("accuracy == 0.8", 0.0),
        ("0.5 < accuracy < 0.7", 1.0),
    ],
)
def test_how_far_a_constraint_is_from_holding(constraint: str, expected: float) -> None:
    facts: Facts = {"metrics": {"accuracy": 0.8}, "params": {"alpha": 1}, "stages": {}}
    assert distance(constraint, facts) == pytest.approx(expected)


def test_a_constraint_over_what_is_not_there_is_said() -> None:
    with pytest.raises(SweepError, match="the constraint latency < 5: latency is no metric"):
        distance("latency < 5", {"metrics": {}, "params": {}, "stages": {}})


def test_nan_never_holds() -> None:
    facts: Facts = {"metrics": {"loss": math.nan}, "params": {}, "stages": {}}
    assert distance("loss < 1", facts) > 0
