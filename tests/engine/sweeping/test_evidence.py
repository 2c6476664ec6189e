"""What is wrong with a study is seen: a sound one with one thing changed is not sound any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from mlbench.domain.outcomes import RunOutcome, TrialState
from mlbench.domain.runs import CodeState, Run
from mlbench.domain.sweeps import Objective, Progress, Study, Sweep, Trial
from tests.engine.sweeping.evidence import Evidence, faults
from tests.engine.sweeping.quick_sweep import score

Change = Callable[[Evidence], Evidence]
_LOST, _COMPLETE, _AGAIN = 0, 1, 2
_PARAMS = {_LOST: {"train.x": 0.1, "train.size": 2}, _COMPLETE: {"train.x": 0.7, "train.size": 3}}
_PARAMS[_AGAIN] = _PARAMS[_LOST]


def _trial(number: int) -> Trial:
    params = _PARAMS[number]
    if number == _LOST:
        return Trial(number, TrialState.LOST, params, reason="its process was gone")
    return Trial(number, TrialState.COMPLETE, params, score(params), runs=(f"run-{number}",))


def _frozen(number: int) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=OptunaState.FAIL if number == _LOST else OptunaState.COMPLETE,
        values=None if number == _LOST else list(score(_PARAMS[number])),
        params=_PARAMS[number],
        distributions={"train.x": FloatDistribution(0, 1), "train.size": IntDistribution(1, 9)},
    )


def _run(number: int) -> Run:
    return Run(
        id=f"run-{number}",
        name="",
        outcome=RunOutcome.PASSED,
        origin="sweep",
        by="",
        started="",
        seconds=1.0,
        code=CodeState(),
        params=_PARAMS[number],
        metrics={},
        stages={},
        study="study",
        trial=number,
    )


def _sound() -> Evidence:
    sweep = Sweep("quick", "evaluate", (Objective("score", "maximize"),), (), trials=2)
    runs = tuple(map(_run, (_COMPLETE, _AGAIN)))
    return Evidence(
        Study("study", sweep, ""),
        Progress("ended", is_done=True),
        {number: _trial(number) for number in _PARAMS},
        {number: _frozen(number) for number in _PARAMS},
        runs,
        tuple(run.id for run in runs),
        prepared=1,
    )


def _with(number: int, **changes: object) -> Change:
    """One trial is otherwise on the board."""

    def change(found: Evidence) -> Evidence:
        trial = replace(found.board[number], **changes)  # type: ignore[arg-type]
        return replace(found, board={**found.board, number: trial})

    return change


def _without(number: int) -> Change:
    return lambda found: replace(
        found,
        board={key: trial for key, trial in found.board.items() if key != number},
        optuna={key: trial for key, trial in found.optuna.items() if key != number},
    )


def _with_run(**changes: object) -> Change:
    """The first run is otherwise on record."""
    return lambda found: replace(
        found,
        runs=(replace(found.runs[0], **changes), *found.runs[1:]),  # type: ignore[arg-type]
    )


def test_a_sound_study_has_no_fault() -> None:
    assert faults(_sound(), 2, score) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without(_COMPLETE), "1 trials have ended, not 2"),
        (_without(_AGAIN), "never tried again"),
        (_with(_AGAIN, params=_PARAMS[_COMPLETE]), "2 trials count with"),
        (_with(_COMPLETE, values=(0.0,)), "is worth"),
        (_with(_COMPLETE, state=TrialState.RUNNING), "trial 1 is running"),
        (
            _with(_COMPLETE, state=TrialState.FAILED, reason="?"),
            "1 runs of trial 1 passed, and it is failed",
        ),
        (_with(_COMPLETE, runs=()), "trial 1 has 0 runs"),
        (_with(_COMPLETE, runs=("run-2",)), "run run-2 is of 2 trials"),
        (_with(_LOST, reason=""), "does not say why"),
        (_with_run(trial=7), "which is not there"),
        (_with_run(outcome=RunOutcome.FAILED), "which is on record as"),
        (_with_run(params={}), "had other parameters"),
        (lambda found: replace(found, runs=found.runs[:1]), "which is on record as None"),
        (lambda found: replace(found, runs=found.runs * 2), "on record 2 times"),
        (lambda found: replace(found, listed=found.listed[:1]), "does not list"),
        (lambda found: replace(found, listed=(*found.listed, "other")), "not on record"),
        (lambda found: replace(found, prepared=2), "ran 2 times"),
        (lambda found: replace(found, left=("python train.py",)), "still there"),
        (lambda found: replace(found, progress=Progress("ended")), "its coordinator says"),
        (lambda found: replace(found, optuna={}), "only Optuna or only the board"),
        (
            lambda found: replace(found, optuna={**found.optuna, _COMPLETE: _frozen(_LOST)}),
            "for Optuna FAIL",
        ),
    ],
)
def test_each_fault_is_told(change: Change, told: str) -> None:
    assert any(told in fault for fault in faults(change(_sound()), 2, score))
