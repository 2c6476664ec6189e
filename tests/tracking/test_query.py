"""Finding runs by expressions, sort keys and names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.runs import Extremes, Marks, Run, Scalar
from mlbench.tracking import query
from mlbench.tracking.history import History
from mlbench.tracking.query import facts_of, objective_of
from tests.tracking.conftest import made


def newest_first(runs: Sequence[Run]) -> Sequence[bytes]:
    return History.of(reversed(runs)).lines


def select(runs: Sequence[Run], **how: Any) -> list[Run]:
    return list(query.select(newest_first(runs), **how))


def resolve(name: str, runs: Sequence[Run], objective: str | None = None) -> str:
    return query.resolve(name, newest_first(runs), objective).id


def best(runs: Sequence[Run], objective: str | None) -> str:
    return query.best(newest_first(runs), objective).id


def numbers(runs: Iterable[Run]) -> list[int]:
    return [int(run.seconds) for run in runs]


def ids(runs: Iterable[Run]) -> list[str]:
    return [run.id for run in runs]


HISTORY = [
    made(1, metrics={"accuracy": 0.90}, params={"train.alpha": 0.1}),
    made(
        2,
        metrics={"accuracy": 0.95, "loss": 0.2},
        params={"train.alpha": "auto"},
        extremes={"loss": Extremes(0.1, 90, 2.0, 0)},
        marks=Marks(star=True),
    ),
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
    assert ids(select(marked)) == ids(marked[::-1])


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
        ("tags.odd", [5]),
        ("not tags.odd and accuracy > 0", [3, 2, 1]),
        ("tags.nothing", []),
        ("tags.team == 'vision'", []),
        ("star or baseline", [2]),
        ("id == '20261123-091503-00000003'", [3]),
        ("loss.min < 0.11 and loss.max_step == 0", [2]),
        ("metrics.loss.min_step == 90", [2]),
        ('m["loss"].min < 0.11', [2]),
        ("started > '2026-11-23T09:15:03'", [5, 4]),
        ("started <= '2026-11-23T09:15:03'", [3, 2, 1]),
        ("'2026-11-23T09:15:01.500Z' < started < '2026-11-23T10:15:04+01:00'", [3, 2]),
        ("started > '2026-11-23'", [5, 4, 3, 2, 1]),
        ("started == '2026-11-23'", [5, 4, 3, 2, 1]),
        ("started != '2026-11-23'", []),
        ("'2026-11-22' == started", []),
        ("age <= 3598", [5, 4, 3, 2]),
        ("age < '1h' and age < '0.5d'", [5, 4, 3, 2, 1]),
        ("seconds < '0.05m'", [2, 1]),
        ("train.seconds < '2s'", [5, 4, 3, 2, 1]),
        ("train.alpha < 1", [1]),
        ("0 < train.alpha", [1]),
        ("accuracy > 2", []),
    ],
)
def test_expressions_choose(where: str, found: list[int]) -> None:
    now = 1795425300.0 + 3600  # an hour after 2026-11-23T09:15:00Z
    assert numbers(select(HISTORY, where=where, everything=True, now=now)) == found


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


@given(
    st.lists(st.floats() | st.integers(0, 3) | st.text("ab", max_size=1) | st.none(), max_size=12),
    st.integers(0, 6),
    st.booleans(),
)
def test_a_limit_gives_the_beginning_of_what_would_come_without(
    values: list[Scalar], limit: int, descending: bool
) -> None:
    runs = [made(number, params={"x": value}) for number, value in enumerate(values)]
    assume(not values or any(value is not None for value in values))
    sort = "-x" if descending else "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "_AT_ONCE", 2)
        assert ids(select(runs, sort=sort, limit=limit)) == ids(select(runs, sort=sort))[:limit]


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(UsageError, match="--sort -f1: no run has f1"):
        select(HISTORY, sort="-f1")
    assert select([], sort="f1") == []


def test_a_run_is_found_by_id_prefix_and_name() -> None:
    for name in (HISTORY[1].id, "brave-2", HISTORY[1].id[:-1]):
        assert resolve(name, HISTORY) == HISTORY[1].id
    namesake = replace(HISTORY[3], name="brave-2")
    assert resolve("brave-2", [*HISTORY, namesake]) == namesake.id


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
    assert resolve("@last", HISTORY) == HISTORY[3].id
    with pytest.raises(UsageError, match="no run has passed yet"):
        resolve("@last", [HISTORY[2]])


def test_best_is_by_the_projects_objective() -> None:
    assert resolve("@best", HISTORY, "maximize accuracy") == HISTORY[1].id
    assert resolve("@best", HISTORY, "minimize accuracy") == HISTORY[0].id
    later = made(9, metrics={"accuracy": 0.95})
    assert best([HISTORY[1], later], "maximize accuracy") == later.id


def test_nan_is_never_best() -> None:
    for runs in (HISTORY[::-1], [HISTORY[3], HISTORY[0]]):
        for direction in ("maximize", "minimize"):
            assert best(runs, f"{direction} accuracy") != HISTORY[3].id
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


def test_what_fits_no_run_is_told_and_what_fits_some_is_found() -> None:
    assert numbers(select(HISTORY, where="train.alpha < 1")) == [1]
    with pytest.raises(UsageError, match="not supported between"):
        select(HISTORY, where="name < 1")


def test_a_name_that_is_two_things_is_refused_with_both_ways_to_write_it() -> None:
    both = [made(1, metrics={"seed": 1.0}, params={"seed": 2})]
    with pytest.raises(UsageError, match=r"write metrics\.seed or params\.seed"):
        select(both, where="seed > 0")
    assert numbers(select(both, where="params.seed == 2")) == [1]
    field = [made(1, metrics={"seconds": 9.0})]
    with pytest.raises(UsageError, match=r"write metrics\.seconds or run\.seconds"):
        select(field, where="seconds > 0")
    assert numbers(select(field, where="run.seconds == 1")) == [1]


@pytest.mark.parametrize("where", ["started > 'yesterday'", "started == '2026-13-01'"])
def test_a_text_that_is_no_time_is_refused(where: str) -> None:
    with pytest.raises(UsageError, match="is no time such as 2026-11-23"):
        select([], where=where)


def test_what_is_archived_is_hidden_unless_it_is_asked_for() -> None:
    runs = [made(1), made(2, marks=Marks(archived=True)), made(3)]
    assert numbers(select(runs)) == [3, 1]
    assert numbers(select(runs, everything=True)) == [3, 2, 1]
    assert numbers(select(runs, where="archived")) == [2]
    assert numbers(select(runs, where="seconds < 9")) == [3, 1]
    assert resolve("@last", [*runs, made(4, marks=Marks(archived=True))]) == made(3).id
    with pytest.raises(UsageError, match="no run has passed yet"):
        resolve("@last", runs[1:2])


def test_only_as_many_lines_are_read_as_it_takes() -> None:
    read = 0

    def counted() -> Iterable[bytes]:
        nonlocal read
        for line in newest_first([made(number) for number in range(1, 50)]):
            read += 1
            yield line

    assert numbers(query.select(counted(), limit=3)) == [49, 48, 47]
    assert read <= 4
    assert numbers(query.select(counted(), where="seconds < 48", limit=2)) == [47, 46]
    assert read <= 10


def test_equal_values_come_newest_first_in_both_directions() -> None:
    runs = [made(number, metrics={"loss": number % 2}) for number in range(1, 7)]
    assert numbers(select(runs, sort="loss")) == [6, 4, 2, 5, 3, 1]
    assert numbers(select(runs, sort="-loss")) == [5, 3, 1, 6, 4, 2]


def test_values_of_several_kinds_are_sorted_too() -> None:
    values: list[Scalar] = ["b", 2, None, True, "a", 0.5]
    runs = [made(number, params={"x": value}) for number, value in enumerate(values, start=1)]
    assert numbers(select(runs, sort="x")) == [6, 4, 2, 5, 1, 3]


def test_the_baseline_is_the_run_that_was_made_it_last() -> None:
    runs = [
        made(1, marks=Marks(baseline_since="2026-11-23T10:00:00.000Z")),
        made(2, marks=Marks(baseline_since="2026-11-23T09:00:00.000Z")),
        made(3),
    ]
    assert resolve("@baseline", runs) == made(1).id
    with pytest.raises(UsageError, match="`mlbench baseline RUN`"):
        resolve("@baseline", runs[2:])


def test_the_best_come_in_order_and_what_is_best_can_be_said() -> None:
    lines = newest_first(HISTORY)
    assert numbers(query.ranked(lines, "minimize accuracy", "--best")) == [1, 2]
    assert objective_of("", "maximize accuracy") == "maximize accuracy"
    assert objective_of("accuracy", "maximize accuracy") == "maximize accuracy"
    assert objective_of("minimize loss", "maximize accuracy") == "minimize loss"
    with pytest.raises(UsageError, match='--best "maximize loss" or "minimize loss"'):
        objective_of("loss", "maximize accuracy")
    with pytest.raises(UsageError, match='"maximize loss" or "minimize loss"'):
        objective_of("maximise loss", None)


def test_the_last_that_passed() -> None:
    assert numbers(query.passed(newest_first(HISTORY))) == [4, 2, 1]
    assert numbers(query.passed(newest_first(HISTORY), 1)) == [4]


def test_trials_are_hidden_unless_they_are_marked_or_asked_for() -> None:
    trial: dict[str, Any] = {"origin": "sweep", "study": "20261123-091500-000000aa"}
    runs = [
        made(1),
        made(2, **trial, trial=0, metrics={"accuracy": 0.99}),
        made(3, **trial, trial=1, outcome=RunOutcome.FAILED),
        made(4, **trial, trial=2, marks=Marks(star=True)),
        made(5, **trial, trial=3, marks=Marks(archived=True)),
        made(6, origin="sweep", study="another", trial=0),
        made(7, metrics={"accuracy": 0.9}),
        made(8, origin="sweep", study="another", trial=1),
    ]
    study = trial["study"]
    assert numbers(select(runs)) == [7, 4, 1]
    assert numbers(select(runs, study=study)) == [4, 3, 2]
    assert numbers(select(runs, study=study, everything=True)) == [5, 4, 3, 2]
    assert numbers(select(runs, everything=True, trials=False)) == [7, 1]
    assert numbers(select(runs, where=f"run.study == '{study}'")) == [4, 3, 2]
    assert numbers(select(runs, where="trial >= 1 and not star")) == [8, 3]
    assert numbers(select(runs, where="origin == 'sweep'")) == [4]
    assert numbers(select(runs, study="another", sort="-trial")) == [8, 6]
    assert resolve("@last", runs) == made(7).id
    assert resolve("@best", runs, "maximize accuracy") == made(2).id
