"""Runs side by side: differences first, and changes beside the noise between equal runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.comparison import KINDS, ComparedRow, Noise
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import CodeState, Extremes, Run
from mlbench.tracking.compare import Side, compare
from mlbench.tracking.noise import equal_runs, noise_of
from tests.tracking.conftest import made

CLEAN = CodeState("4f3a1c", "main")
numbers = st.floats(-1e6, 1e6)


def side(run: Run, **environment: Any) -> Side:
    return Side(run, environment)


def rows_of(*sides: Side) -> dict[tuple[str, str], ComparedRow]:
    return {(row.kind, row.name): row for row in compare(sides, {})}


def test_differences_come_first_within_each_kind() -> None:
    one = made(1, params={"a": 1, "b": 1, "c": 1}, metrics={"loss": 0.5})
    other = made(2, params={"a": 1, "b": 2, "d": 1}, metrics={"loss": 0.25})
    rows = compare([side(one), side(other)], {})
    params = [(row.name, row.values, row.differs) for row in rows if row.kind == "params"]
    assert params == [
        ("b", (1, 2), True),
        ("c", (1, None), True),
        ("d", (None, 1), True),
        ("a", (1, 1), False),
    ]
    (loss,) = [row for row in rows if row.kind == "metrics"]
    assert loss.change == -0.25
    assert [row.kind for row in rows] == sorted((row.kind for row in rows), key=KINDS.index)


def test_data_packages_and_environment_are_told() -> None:
    train = made(1).stages["train"]
    one = replace(made(1), stages={"train": replace(train, inputs={"data.csv": "a" * 64})})
    other = replace(made(2), stages={"train": replace(train, inputs={"data.csv": "b" * 64})})
    rows = rows_of(
        side(one, host="here", packages={"numpy": "1.0"}, gpus=[{"name": "A"}]),
        side(other, host="here", packages={"numpy": "2.0", "rich": "1"}, variables={"SEED": "1"}),
    )
    assert rows["data", "data.csv"].values == ("a" * 12, "b" * 12)
    assert rows["packages", "numpy"].values == ("1.0", "2.0")
    assert rows["packages", "rich"].values == (None, "1")
    assert not rows["environment", "host"].differs
    assert rows["environment", "gpus.0.name"].values == ("A", None)
    assert rows["environment", "$SEED"].values == (None, "1")


def test_what_a_stage_of_the_run_made_is_no_data() -> None:
    train = replace(made(1).stages["train"], outs={"clean": "x"}, inputs={"clean": "x"})
    assert ("data", "clean") not in rows_of(side(replace(made(1), stages={"train": train})))


def test_the_best_value_stands_beside_the_last() -> None:
    run = made(1, metrics={"loss": 0.5, "acc": 1.0}, extremes={"loss": Extremes(0.1, 3, 0.9, 0)})
    rows = rows_of(side(run), side(made(2, metrics={"loss": 0.5})))
    assert rows["metrics", "loss.min"].values == (0.1, None)
    assert ("metrics", "acc.min") not in rows


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (1, 1.0, False),
        (1, True, True),
        (math.nan, math.nan, False),
        ("1", 1, True),
        (0, None, True),
    ],
)
def test_values_are_the_same_or_not(one: Any, other: Any, differs: bool) -> None:
    assert ComparedRow("params", "x", (one, other)).differs is differs


def test_equal_runs_are_those_of_one_state_or_one_clean_commit_but_for_seeds() -> None:
    runs = [
        made(1, key="k"),
        made(2, key="k"),
        made(3, key="else"),
        made(4, key="k", outcome=RunOutcome.FAILED),
        *(replace(made(n, params={"train.seed": n, "rate": 1}), code=CLEAN) for n in (5, 6)),
        replace(made(7, params={"train.seed": 7, "rate": 2}), code=CLEAN),
    ]
    groups = [[run.name for run in group] for group in equal_runs(runs)]
    assert groups == [["brave-1", "brave-2"], ["brave-5", "brave-6"]]


@given(st.lists(numbers, min_size=2, max_size=8), numbers)
def test_noise_is_the_standard_deviation_of_one_group(values: list[float], shift: float) -> None:
    noise = noise_of([group(values)])["loss"]
    assert noise.degrees == len(values) - 1
    assert noise.deviation == pytest.approx(statistics.stdev(values), abs=1e-6, rel=1e-9)
    both = noise_of([group(values), group([value + shift for value in values])])["loss"]
    assert both.deviation == pytest.approx(noise.deviation, abs=1e-5, rel=1e-6)


def group(values: Sequence[float]) -> list[Run]:
    return [made(at, metrics={"loss": value, "odd": math.nan}) for at, value in enumerate(values)]


def test_a_metric_without_finite_values_has_no_noise() -> None:
    assert set(noise_of([group([1.0, 2.0])])) == {"loss"}


def test_a_change_is_beyond_noise_only_where_it_is_larger_than_chance() -> None:
    noise = Noise(0.01, 4)
    assert noise.least_change == pytest.approx(2.776 * 0.01 * math.sqrt(2))
    row = ComparedRow("metrics", "loss", (0.5, 0.47), -0.03, noise)
    assert row.is_beyond_noise is False
    assert replace(row, change=-0.05).is_beyond_noise is True
    assert replace(row, noise=None).is_beyond_noise is None
    assert ComparedRow("metrics", "loss", (1, 2), 1.0, Noise(0.0, 1)).is_beyond_noise is True


@given(st.integers(1, 200))
def test_more_equal_runs_let_smaller_changes_count(degrees: int) -> None:
    assert Noise(1.0, degrees + 1).least_change <= Noise(1.0, degrees).least_change
