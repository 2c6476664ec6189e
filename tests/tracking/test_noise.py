"""Equal runs and what they tell: found alike in lines and in runs, means of what is finite."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.comparison import Noise, Repeats
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import CodeState, Run, Scalar
from mlbench.tracking.history import History
from mlbench.tracking.noise import equal_runs, newest_equal_runs, noise_of, repeats_of
from tests.tracking.conftest import made

drawn = st.lists(
    st.tuples(
        st.sampled_from(["key-a", "key-b", ""]),
        st.sampled_from([None, "c1", "c2"]),
        st.sampled_from(["", "d1"]),
        st.booleans(),
        st.integers(0, 2),
        st.sampled_from([1, 1.0, 'a,"seed":1', "a,b", "b,a", ""]),
        st.booleans(),
        st.sampled_from([RunOutcome.PASSED, RunOutcome.FAILED, None]),
        st.sampled_from([None, None, 0, 1]),
    ),
    max_size=12,
)


@given(drawn)
def test_equal_runs_are_found_without_decoding_the_others(
    rows: list[tuple[str, str | None, str, bool, int, Scalar, bool, RunOutcome | None, int | None]],
) -> None:
    runs = []
    for number, (key, commit, data, dirty, seed, rate, turned, outcome, trial) in enumerate(
        rows, 1
    ):
        params = [("train.seed", seed), ("rate", rate), ("depth", 3)]
        shown = dict(reversed(params) if turned else params)
        run = made(number, key=key, outcome=outcome, params=shown)
        study = "" if trial is None else "study"
        code = CodeState(commit, "main", dirty)
        runs.append(replace(run, code=code, data=data, study=study, trial=trial))
    newest_first = reversed(History.of(runs).lines)
    assert ids(newest_equal_runs(newest_first)) == ids(equal_runs(reversed(runs)))


def ids(groups: list[list[Run]]) -> list[list[str]]:
    return [[run.id for run in group] for group in groups]


def equals(*scores: float) -> list[Run]:
    return [
        made(number, key="same", metrics={"score": score}) for number, score in enumerate(scores, 1)
    ]


def test_a_runs_metrics_stand_beside_their_means() -> None:
    runs = equals(0.9, 0.92, 0.97, math.nan)
    repeats = repeats_of(runs[2].id, equal_runs(runs))
    assert repeats == {"score": Repeats(0.97, repeats["score"].mean, 3)}
    assert repeats["score"].mean == pytest.approx(0.93)
    assert repeats_of(runs[3].id, equal_runs(runs)) == {}
    assert repeats_of("another", equal_runs(runs)) == {}
    assert noise_of(equal_runs(runs))["score"].degrees == 2


def test_runs_of_one_commit_on_other_data_are_no_repeats() -> None:
    """Git does not know most data: a run on new rows must not be averaged with the old ones."""
    code = CodeState("c1", "main")
    old, seed, new = (
        replace(made(number, params={"seed": number}), code=code, data=data)
        for number, data in enumerate(("old", "old", "new"), 1)
    )
    assert ids(equal_runs([old, seed, new])) == [[old.id, seed.id]]


def test_the_repeats_of_each_trial_pool_their_scatter() -> None:
    """3 repeats of each of 20 trials, of a dirty tree, with a seed that no name gives away."""
    repeats = [
        made(
            1 + 3 * trial + repeat,
            origin="sweep",
            study="one",
            trial=trial,
            params={"train.alpha": trial / 20, "generator": repeat},
            metrics={"score": trial + (repeat - 1) * 0.1},
        )
        for trial in range(20)
        for repeat in range(3)
    ]
    others = [made(61, key="key-1"), made(62, origin="sweep", study="two", trial=0)]
    groups = newest_equal_runs(reversed(History.of([*repeats, *others]).lines))
    assert sorted(map(len, groups)) == [3] * 20
    noise, beside = noise_of(groups)["score"], repeats_of(repeats[4].id, groups)["score"]
    assert (noise.degrees, beside.value, beside.count) == (40, 1.0, 3)
    assert noise.deviation == pytest.approx(0.1)
    assert beside.mean == pytest.approx(1.0)


def test_trials_that_differ_in_seeds_alone_are_equal_as_other_runs_are() -> None:
    """A sweep over seeds is what noise is measured by, and a run by hand may be one more."""
    trials = [
        made(number, origin="sweep", study="one", trial=number, params={"seed": number, "a": 1})
        for number in range(1, 4)
    ]
    runs = [*trials, made(4, params={"seed": 9, "a": 1}), made(5, params={"seed": 9, "a": 2})]
    runs = [replace(run, code=CodeState("c1", "main")) for run in runs]
    assert ids(equal_runs(runs)) == [[run.id for run in runs[:4]]]


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (7, 2.3646), (30, 2.0423), (31, 2.0395), (45, 2.0141), (120, 1.9799)],
)
def test_the_quantile_is_that_of_students_distribution(degrees: int, quantile: float) -> None:
    assert Noise(1.0, degrees).quantile == pytest.approx(quantile, abs=5e-4)
