"""A study as its coordinator uses it: ask, tell, try by hand, go on, take over."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Component, Dimension, KnownTrial, Objective, Range, Sweep
from mlbench.sweeps.study import OptunaStudy
from tests.support import REPOSITORY
from tests.sweeps.spaces import (
    BASE,
    QUICK,
    QUICK_BASE,
    SPACE,
    SWEEP,
    pruned_by,
    sampled_by,
    score,
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study" / "journal.log"


def finish(study: OptunaStudy, trials: int) -> list[dict[str, Any]]:
    """Ask for trials and tell each what it came to; gives what was asked for."""
    asked = []
    for _ in range(trials):
        number, params = study.ask()
        study.complete(number, [float(len(repr(params)))], {})
        asked.append(params)
    return asked


def test_a_trial_is_known_as_it_was_told(journal: Path) -> None:
    study = OptunaStudy.open(journal, SWEEP, BASE)
    number, params = study.ask()
    study.note(number, "runs", ["a", "b"])
    study.report(number, 0, 0.25)
    study.complete(number, [0.5], {"seconds <= 60": -2.0, "size": math.nan})

    (trial,) = study.known()
    assert (trial.number, trial.state) == (number, TrialState.COMPLETE)
    assert trial.params == params
    assert trial.values == (0.5,)
    assert trial.intermediate == {0: 0.25}
    assert trial.constraints == {"seconds <= 60": -2.0, "size": math.inf}
    assert trial.notes == {"runs": ["a", "b"]}
    assert trial.started <= trial.ended
    assert trial.ended.endswith("Z")


def test_what_became_of_each_trial_is_told_apart(journal: Path) -> None:
    study = OptunaStudy.open(journal, QUICK, QUICK_BASE)
    for _ in range(5):
        study.ask()
    study.complete(0, [1.0], {})
    study.prune(1)
    study.fail(2)
    study.fail(3, lost=True)
    study.enqueue({"x": 0.25})

    states = [trial.state.word for trial in OptunaStudy.open(journal, QUICK, {}).known()]
    assert states == ["complete", "pruned", "failed", "lost", "running", "waiting"]


def test_a_list_comes_back_as_a_list_and_a_text_that_looks_like_one_as_a_text(
    journal: Path,
) -> None:
    choices = ([32], "[64]", {"b": 1, "a": [2]}, 32, 1.5, True)
    space = (Dimension("layers", choices=choices),)
    sweep = replace(QUICK, space=space, sampler=Component("BruteForceSampler", {"seed": 1}))
    asked = finish(OptunaStudy.open(journal, sweep, {}), len(choices))

    assert sorted(map(repr, (one["layers"] for one in asked))) == sorted(map(repr, choices))
    known = OptunaStudy.open(journal, sweep, {}).known()
    assert [trial.params for trial in known] == asked


@pytest.mark.parametrize(
    ("base", "holds"), [({"mode": "fast", "n": 1}, True), ({"mode": "slow", "n": 1}, False)]
)
def test_a_condition_may_name_a_parameter_outside_the_space(
    journal: Path, base: dict[str, Any], holds: bool
) -> None:
    when = "mode == 'fast' and params.n < 5"
    space = (Dimension("x", Range(0.0, 1.0), when=when),)
    study = OptunaStudy.open(journal, replace(QUICK, space=space), base)
    assert ("x" in study.ask()[1]) is holds


def test_what_waits_for_a_parameter_that_a_trial_has_not_is_left_out_too(journal: Path) -> None:
    space = (
        Dimension("a", choices=("off",)),
        Dimension("b", Range(0.0, 1.0), when="a == 'on'"),
        Dimension("c", Range(0.0, 1.0), when="b > 5"),
        Dimension("d", Range(0.0, 1.0), when="a == 'off' or b > 5"),
    )
    study = OptunaStudy.open(journal, replace(QUICK, space=space), {"a": "on", "b": 6, "c": 0})
    assert set(study.ask()[1]) == {"a", "d"}


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("solvr == 'sgd'", r'x: when: solvr is neither .* \(did you mean "solver"\?\)'),
        ("solver ==", "x: when: not an expression"),
        ("later > 1", "x: when: later is neither a parameter of the space before it"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(journal: Path, when: str, says: str) -> None:
    space = (Dimension("x", Range(0.0, 1.0), when=when), Dimension("later", Range(0.0, 1.0)))
    with pytest.raises(SweepError, match=says):
        OptunaStudy.open(journal, replace(QUICK, space=space), {"solver": "sgd"})
    assert not journal.exists()


def test_a_condition_that_can_not_be_reckoned_out_loses_the_trial(journal: Path) -> None:
    space = (Dimension("x", Range(0.0, 1.0)), Dimension("y", choices=(1, 2), when="solver > 1"))
    study = OptunaStudy.open(journal, replace(QUICK, space=space), {"solver": "sgd"})
    with pytest.raises(SweepError, match="y: when: "):
        study.ask()
    assert [trial.state for trial in study.known()] == [TrialState.LOST]


def test_values_by_hand_are_tried_next_and_the_rest_is_sampled(journal: Path) -> None:
    study = OptunaStudy.open(journal, SWEEP, BASE)
    by_hand = {"train.solver": "adam", "train.momentum": 0.5, "train.hidden": [64, 64]}
    study.enqueue({**by_hand, "train.alpha": 0.05}, {"by_hand": True})
    study.enqueue({**by_hand, "train.solver": "sgd"})

    waiting = study.known()[0]
    assert waiting.params == {**by_hand, "train.alpha": 0.05}
    number, params = study.ask()
    # Adam has no momentum, whatever somebody wrote.
    assert set(params) == {dimension.name for dimension in SPACE} - {"train.momentum"}
    assert (params["train.alpha"], params["train.hidden"]) == (0.05, [64, 64])
    assert study.known()[number].notes == {"by_hand": True}
    assert study.ask()[1]["train.momentum"] == 0.5
    # The same once more is one more trial.
    study.enqueue(params)
    assert study.ask()[1] == params


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"train.alfa": 1}, r'train.alfa is no parameter .* \(did you mean "train.alpha"\?\)'),
        ({"train.alpha": 5}, r"train.alpha = 5 is not in log\(1e-05,0.1\)"),
        ({"train.alpha": "x"}, 'train.alpha = "x" is not in'),
        ({"train.depth": 3}, r"train.depth = 3 is not in int\(2,12,2\)"),
        ({"train.depth": 2.5}, "train.depth = 2.5 is not"),
        ({"train.depth": True}, "train.depth = true is not"),
        ({"train.hidden": [1]}, r"train.hidden = \[1\] is not in choice\(\[32\],\[64,64\]\)"),
    ],
)
def test_values_by_hand_that_are_outside_the_space_are_refused(
    journal: Path, params: dict[str, Any], says: str
) -> None:
    study = OptunaStudy.open(journal, SWEEP, BASE)
    with pytest.raises(SweepError, match=says):
        study.enqueue(params)
    assert study.known() == ()


def test_going_on_with_a_seed_does_not_draw_the_same_again(journal: Path, tmp_path: Path) -> None:
    first = finish(OptunaStudy.open(journal, QUICK, QUICK_BASE), 4)
    second = finish(OptunaStudy.open(journal, QUICK, QUICK_BASE), 4)
    assert not {one["x"] for one in first} & {one["x"] for one in second}

    # And who begins anew, even with values by hand waiting, has what the seed stands for.
    other = OptunaStudy.open(tmp_path / "other.log", QUICK, QUICK_BASE)
    other.enqueue({"x": 0.5, "n": 5})
    again = finish(OptunaStudy.open(tmp_path / "other.log", QUICK, QUICK_BASE), 5)
    assert again[1:] == first


@pytest.mark.parametrize("options", [{}, {"scramble": True}])
def test_going_on_with_a_quasi_random_sequence_goes_on_with_it(
    journal: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    space = (Dimension("x", Range(0.0, 1.0)), Dimension("y", Range(0.0, 1.0)))
    sweep = sampled_by(replace(QUICK, space=space), "QMCSampler", seed=4, **options)
    whole = finish(OptunaStudy.open(tmp_path / "whole.log", sweep, {}), 8)
    finish(OptunaStudy.open(journal, sweep, {}), 4)
    assert finish(OptunaStudy.open(journal, sweep, {}), 4) == whole[4:]


def test_bounds_are_those_of_what_is_watched_whichever_way_is_better(journal: Path) -> None:
    watched = replace(QUICK, intermediate=Objective("loss", "minimize"))
    goal = replace(watched.objectives[0], direction="maximize")
    sweep = pruned_by(replace(watched, objectives=(goal,)), "ThresholdPruner", upper=0.6)
    study = OptunaStudy.open(journal, sweep, QUICK_BASE)
    number, _ = study.ask()
    # Told turned round, for more is better in the study.
    study.report(number, 0, -0.5)
    assert not study.should_prune(number)
    study.report(number, 1, -0.7)
    assert study.should_prune(number)


def test_a_trial_from_before_a_kill_is_told_by_its_number(journal: Path) -> None:
    sweep = pruned_by(QUICK, "ThresholdPruner", upper=10.0)
    before = OptunaStudy.open(journal, sweep, QUICK_BASE)
    asked = [before.ask() for _ in range(4)]
    before.report(0, 0, 1.0)

    study = OptunaStudy.open(journal, sweep, QUICK_BASE)
    # What it had reported comes again, from the curve's beginning.
    study.report(0, 0, 2.0)
    assert not study.should_prune(0)
    study.report(0, 1, 11.0)
    assert study.should_prune(0)
    study.prune(0)
    study.note(1, "reason", "over")
    study.complete(1, [0.5], {"size": 1.0})
    study.fail(2)
    study.fail(3, lost=True)

    trials = OptunaStudy.open(journal, sweep, QUICK_BASE).known()
    assert [trial.params for trial in trials] == [params for _, params in asked]
    assert trials[0].intermediate == {0: 1.0, 1: 11.0}
    assert (trials[1].values, trials[1].constraints) == ((0.5,), {"size": 1.0})
    assert trials[1].notes == {"reason": "over"}
    words = [trial.state.word for trial in trials]
    assert words == ["pruned", "complete", "failed", "lost"]


def test_a_trial_ends_once(journal: Path) -> None:
    study = OptunaStudy.open(journal, QUICK, QUICK_BASE)
    number, _ = study.ask()
    with pytest.raises(SweepError, match="are not a number an objective"):
        study.complete(number, [math.nan], {})
    study.complete(number, [1.0], {})
    with pytest.raises(SweepError, match="trial 0 does not run: it is complete"):
        study.complete(number, [2.0], {"size": 1.0})
    with pytest.raises(SweepError, match="there is no trial 9"):
        study.prune(9)
    assert study.known()[0].values == (1.0,)
    assert study.known()[0].constraints == {}


def test_comparable_trials_of_another_study_are_taken_over_once(
    journal: Path, tmp_path: Path
) -> None:
    before = OptunaStudy.open(tmp_path / "before.log", SWEEP, BASE)
    for end in range(4):
        number, params = before.ask()
        before.report(number, 0, 0.5)
        before.note(number, "from", "before")
        if end == 0:
            before.prune(number)
        else:
            before.complete(number, [score(params)], {"size": -1.0})
    wider = (replace(SPACE[0], range=Range(1e-6, 1.0, log=True)), *SPACE[1:])
    sweep = replace(SWEEP, space=wider)
    study = OptunaStudy.open(journal, sweep, BASE)
    study.take_over(before.known()[:2])
    # As after a kill in between.
    study = OptunaStudy.open(journal, sweep, BASE)
    study.take_over(before.known())

    assert study.known() == before.known()
    # Three complete ones and more count for the sampler, so that it no longer draws at random.
    assert study.ask()[0] == 4


def test_what_can_not_be_taken_over_is_refused_and_nothing_is(
    journal: Path, tmp_path: Path
) -> None:
    study = OptunaStudy.open(journal, QUICK, QUICK_BASE)
    sound = KnownTrial(0, TrialState.COMPLETE, {"x": 0.5, "n": 1}, (1.0,))
    with pytest.raises(SweepError, match="trial 3 is failed"):
        study.take_over([sound, replace(sound, number=3, state=TrialState.FAILED)])
    with pytest.raises(SweepError, match=r"n = 100 is not in int\(1,9\)"):
        study.take_over([sound, replace(sound, params={"x": 0.5, "n": 100})])
    assert study.known() == ()


def test_other_choices_or_objectives_need_a_new_study(journal: Path) -> None:
    finish(OptunaStudy.open(journal, SWEEP, BASE), 1)
    fewer = replace(SWEEP, space=(*SPACE[:-1], replace(SPACE[-1], choices=(32, 64))))
    with pytest.raises(SweepError, match=r"train.batch: .*\(32, 64, 128\); --restart"):
        OptunaStudy.open(journal, fewer, BASE)
    with pytest.raises(SweepError, match="begun with other objectives; --restart"):
        OptunaStudy.open(journal, replace(SWEEP, objectives=(Objective("a", "minimize"),)), BASE)


TRIED_WHOLE = Sweep(
    "whole",
    "train",
    (Objective("accuracy", "maximize"),),
    (
        Dimension("a", Range(0.0, 0.3, step=0.1)),
        Dimension("b", choices=("x", "y")),
        Dimension("c", Range(1, 2, is_whole=True), when="b == 'y'"),
    ),
)


@pytest.mark.parametrize(("name", "size"), [("GridSampler", 16), ("BruteForceSampler", 12)])
def test_a_sampler_that_tries_everything_says_when_it_has(
    journal: Path, name: str, size: int
) -> None:
    sweep = sampled_by(TRIED_WHOLE, name, seed=1)
    base = {"a": 0, "b": "x", "c": 1}
    study = OptunaStudy.open(journal, sweep, base)
    tried: list[dict[str, Any]] = []
    while not study.is_exhausted:
        assert len(tried) < 100
        tried += finish(study, 1)
        # Another coordinator goes on now and then: the order of a grid stays what it was.
        if len(tried) % 5 == 0:
            study = OptunaStudy.open(journal, sweep, base)
    assert len(tried) == size
    assert len({repr(sorted(params.items())) for params in tried}) == 12
    assert {params["a"] for params in tried} == {0.0, 0.1, 0.2, 0.3}
    assert OptunaStudy.open(journal, sweep, base).is_exhausted


def test_a_lost_trial_of_a_grid_is_tried_again_though_the_grid_is_through(journal: Path) -> None:
    sweep = sampled_by(replace(TRIED_WHOLE, space=TRIED_WHOLE.space[1:2]), "GridSampler")
    study = OptunaStudy.open(journal, sweep, {"b": "x"})
    finish(study, 1)
    number, params = study.ask()
    study.lose(number)
    assert not study.is_exhausted
    assert finish(study, 1) == [params]
    assert study.is_exhausted


def test_a_grid_can_not_fill_in_what_is_missing_by_hand(journal: Path) -> None:
    study = OptunaStudy.open(journal, sampled_by(TRIED_WHOLE, "GridSampler"), {"b": "x"})
    with pytest.raises(SweepError, match="can't fill in what is left out: name b, too"):
        study.enqueue({"a": 0.1})
    study.enqueue({"a": 0.1, "b": "x"})
    assert study.ask()[1] == {"a": 0.1, "b": "x"}


SILENT = """
from dataclasses import replace
from pathlib import Path
import sys
from mlbench.sweeps.study import OptunaStudy
from tests.sweeps.spaces import *

uneven = replace(SWEEP, space=(*SPACE, Dimension("odd", Range(0, 1, step=0.3))))
sweep = sampled_by(uneven, "TPESampler", multivariate=True, group=True, n_startup_trials=1)
study = OptunaStudy.open(Path(sys.argv[1]), pruned_by(sweep, "PatientPruner", patience=1), BASE)
study.enqueue({"odd": 0.3})
for _ in range(4):
    number, params = study.ask()
    study.report(number, 0, 1.0)
    study.should_prune(number)
    study.complete(number, [1.0], {})
"""


def test_optuna_says_nothing_while_a_study_runs(journal: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(journal)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
