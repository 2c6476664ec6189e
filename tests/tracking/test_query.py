"""Finding runs by expressions, sort keys and names."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.runs import Marks, Run
from mlbench.tracking.query import best, facts_of, resolve, select
from tests.tracking.conftest import made


def numbers(runs: list[Run]) -> list[int]:
    return [int(run.seconds) for run in runs]


HISTORY = [
    made(1, metrics={"accuracy": 0.90}, params={"train.alpha": 0.1}),
    made(2, metrics={"accuracy": 0.95, "loss": 0.2}, params={"train.alpha": "auto"}),
    made(3, metrics={"accuracy": 0.93}, origin="watch", outcome=RunOutcome.FAILED),
    made(4, metrics={"accuracy": math.nan}, origin="watch"),
    made(5, origin="sweep", outcome=RunOutcome.CANCELLED, marks=Marks(tags=("odd",))),
]


def test_runs_come_newest_first() -> None:
    assert numbers(select(HISTORY, everything=True)) == [5, 4, 3, 2, 1]
    assert numbers(select(HISTORY, everything=True, limit=2)) == [5, 4]
    assert select(HISTORY, limit=0) == []


def test_what_the_watch_failed_at_is_behind_all() -> None:
    assert numbers(select(HISTORY)) == [5, 4, 2, 1]
    marked = [
        replace(HISTORY[2], marks=Marks(note="look")),
        replace(HISTORY[2], marks=Marks(tags=("x",))),
    ]
    assert select(marked) == marked[::-1]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("accuracy > 0.92", [3, 2]),
        ("metrics.accuracy > 0.92 and outcome == 'passed'", [2]),
        ("train.alpha == 'auto'", [2]),
        ("params.train.alpha == 0.1", [1]),
        ("stages.train.seconds > 1", [5, 4, 3, 2, 1]),
        ("origin == 'watch' or loss < 1", [4, 3, 2]),
        ("not dirty", []),
        ("accuracy > 2", []),
    ],
)
def test_expressions_choose(where: str, found: list[int]) -> None:
    assert numbers(select(HISTORY, where=where, everything=True)) == found


@pytest.mark.parametrize("where", ["1 +", "import os", "__import__('os')", "x.y()", "[1]"])
@pytest.mark.parametrize("history", [[], HISTORY])
def test_a_bad_expression_is_refused_even_where_there_are_no_runs(
    where: str, history: list[Run]
) -> None:
    with pytest.raises(UsageError, match="--where") as refused:
        select(history, where=where)
    assert where in str(refused.value).replace('"', "'")
    assert refused.value.exit_status == 2


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("accuracy", [1, 3, 2]),
        ("-accuracy", [2, 3, 1]),
        ("metrics.accuracy", [1, 3, 2]),
        ("seconds", [1, 2, 3, 4, 5]),
        ("-started", [5, 4, 3, 2, 1]),
        ("name", [1, 2, 3, 4, 5]),
        ("train.alpha", [1, 2]),
        ("stages.train.seconds", [5, 4, 3, 2, 1]),
    ],
)
def test_a_key_sorts_and_who_lacks_it_comes_last(sort: str, found: list[int]) -> None:
    ordered = numbers(select(HISTORY, sort=sort, everything=True))
    assert ordered[: len(found)] == found
    assert sorted(ordered) == [1, 2, 3, 4, 5]


@given(st.lists(st.floats(), max_size=8))
def test_whatever_the_values_the_known_ones_are_in_order(values: list[float]) -> None:
    runs = [made(number, metrics={"loss": value}) for number, value in enumerate(values)]
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return
    for sort, reverse in (("loss", False), ("-loss", True)):
        ordered = [run.metrics["loss"] for run in select(runs, sort=sort)]
        assert ordered[: len(known)] == sorted(known, reverse=reverse)
        assert all(math.isnan(value) for value in ordered[len(known) :])


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(UsageError, match="--sort -f1: no run has f1"):
        select(HISTORY, sort="-f1")
    assert select([], sort="f1") == []


def test_a_run_is_found_by_id_prefix_and_name() -> None:
    for name in (HISTORY[1].id, "brave-2", HISTORY[1].id[:-1]):
        assert resolve(name, HISTORY) == HISTORY[1]
    namesake = replace(HISTORY[3], name="brave-2")
    assert resolve("brave-2", [*HISTORY, namesake]) == namesake


@pytest.mark.parametrize("name", ["brave", "202", "", "nobody", "@first"])
def test_an_unknown_name_says_where_to_look(name: str) -> None:
    with pytest.raises(UsageError, match="`mlbench runs --all`") as refused:
        resolve(name, HISTORY)
    assert f'"{name}"' in str(refused.value)


def test_a_prefix_of_several_lists_them() -> None:
    with pytest.raises(UsageError) as refused:
        resolve("20261123", HISTORY)
    assert all(run.id in str(refused.value) for run in HISTORY)


def test_last_is_the_last_that_passed() -> None:
    assert resolve("@last", HISTORY) == HISTORY[3]
    with pytest.raises(UsageError, match="no run has passed yet"):
        resolve("@last", [HISTORY[2]])


def test_best_is_by_the_projects_objective() -> None:
    assert resolve("@best", HISTORY, "maximize accuracy") == HISTORY[1]
    assert resolve("@best", HISTORY, "minimize accuracy") == HISTORY[0]
    later = made(9, metrics={"accuracy": 0.95})
    assert best([HISTORY[1], later], "maximize accuracy") == later


def test_nan_is_never_best() -> None:
    for runs in (HISTORY[::-1], [HISTORY[3], HISTORY[0]]):
        for direction in ("maximize", "minimize"):
            assert best(runs, f"{direction} accuracy") != HISTORY[3]
    with pytest.raises(UsageError, match="metric accuracy"):
        best([HISTORY[3]], "maximize accuracy")


@pytest.mark.parametrize("objective", [None, "", "accuracy", "maximise accuracy", "maximize a b"])
def test_without_an_objective_best_says_what_to_write(objective: str | None) -> None:
    with pytest.raises(UsageError, match=r"project\.objective.*maximize accuracy"):
        best(HISTORY, objective)


def test_best_needs_a_passed_run_with_the_metric() -> None:
    with pytest.raises(UsageError, match="no passed run has the metric f1"):
        best(HISTORY, "maximize f1")


def test_the_facts_of_a_run() -> None:
    run = made(1, metrics={"accuracy": 0.9}, params={"seed": 7})
    facts = facts_of(run)
    assert facts["metrics"] == {"accuracy": 0.9}
    assert facts["params"] == {"seed": 7}
    assert facts["stages"] == {
        "train.passed": True,
        "train.seconds": 1.5,
        "train.outcome": "ran",
        "train.total": 4,
        "train.failed": 1,
    }
    assert facts["run"]["outcome"] == "passed"
    assert facts["run"]["commit"] == "4f3a1c"
    assert facts_of(replace(run, outcome=None))["run"]["outcome"] == "running"


@pytest.mark.parametrize("outcome", StageOutcome)
def test_a_stage_passed_where_its_outs_stand(outcome: StageOutcome) -> None:
    run = made(1)
    stages = {"train": replace(run.stages["train"], outcome=outcome, tests=None)}
    facts = facts_of(replace(run, stages=stages))["stages"]
    assert facts["train.passed"] is (outcome.word in ("ran", "unchanged", "restored"))
    assert "train.total" not in facts


def test_a_name_that_no_run_has_is_told_instead_of_finding_nothing() -> None:
    with pytest.raises(UsageError, match="no run has no_such_name"):
        select(HISTORY, where="no_such_name > 2", everything=True)
    assert select([], where="no_such_name > 2", everything=True) == []
