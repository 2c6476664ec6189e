"""Whole sweeps by the real command line, on stages that take milliseconds."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState as OptunaState

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Trial
from mlbench.engine.sweeping.starting import configured_sweep
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.sweeps.study import OptunaStudy
from mlbench.tracking.steps import StepReader
from mlbench.tracking.store import ExperimentStore
from tests.engine.sweeping.coordinator_killing import RECORD
from tests.engine.sweeping.evidence import faults, gather, optuna_trials, stages_of
from tests.engine.sweeping.quick_sweep import (
    NAME,
    begun_study,
    coordinate,
    killed_at,
    newest,
    score,
    write_quick,
)
from tests.support import SmallProject, until

_TOO_LARGE = 0.6
_FAILS = f"""
if train["x"] > {_TOO_LARGE}:
    raise SystemExit("x is too large")
"""
# What a trial that is not worth its time would do, with a process of its own beside it.
_HANGS = f"""
if train["x"] > {_TOO_LARGE}:
    import subprocess
    subprocess.run(["sleep", "600"])
"""
_WAITS = """
import os
while not os.path.exists({go!r}):
    time.sleep(0.01)
"""
_MANY_GOALS = """\
objective = ["maximize score", "minimize cost"]
constraints = ["cost <= 5"]
repeats = 2
"""
_EVALUATE_MANY = """\
import json
x, size, seed = json.load(open("build/model.json"))
json.dump({"score": x + seed / 8, "cost": size}, open("build/metrics.json", "w"))
"""


def _add_to_training(project: SmallProject, code: str) -> None:
    lines = project.read("train.py").splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("Path("))
    project.write("train.py", "".join([*lines[:at], code.lstrip("\n"), *lines[at:]]))


def _board(root: Path) -> list[Trial]:
    return [trial for _, trial in sorted(newest(root).trials().items())]


def test_trials_on_two_jobs_share_what_they_can_and_one_that_fails_says_why(
    root: Path, count: Path
) -> None:
    project = write_quick(root, count, trials=6)
    _add_to_training(project, _FAILS)
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    found = gather(newest(root), root, count)
    assert faults(found, 6, score) == []
    failed = [trial for trial in found.board.values() if trial.state is TrialState.FAILED]
    assert failed
    for trial in found.board.values():
        assert (trial in failed) is (trial.params["train.x"] > _TOO_LARGE)
    assert {trial.reason for trial in failed} == {
        "train: python train.py: exit status 1: x is too large"
    }
    assert {run.origin for run in found.runs} == {"sweep"}
    assert {trial.slot for trial in found.board.values()} == {1, 2}
    best = max(found.board.values(), key=lambda trial: trial.values or (-math.inf,))
    assert f"{best.values[0]:.4g}"[:5] in done.stdout + done.stderr
    # What the project itself has is nobody's trial.
    assert not (root / "build" / "model.json").exists()


def test_an_edit_on_the_way_is_not_mixed_in(root: Path, count: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    project = write_quick(root, count, trials=4)
    _add_to_training(project, _WAITS.format(go=str(go)))
    words = [sys.executable, "-m", "mlbench", "sweep", NAME]
    with subprocess.Popen(
        words, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as face:
        until(lambda: (root / ".mlbench" / "studies").is_dir() and _runs_one(root))
        project.write("evaluate.py", project.read("evaluate.py").replace("100", "1"))
        project.write("params.toml", "[train]\nx = 0.5\nsize = 1\npause = 5.0\n")
        project.write("rows.txt", "one\n")
        go.touch()
        _, told = face.communicate()
    assert face.returncode == 0, told
    found = gather(newest(root), root, count)
    assert faults(found, 4, score) == []


def _runs_one(root: Path) -> bool:
    return any(trial.state is TrialState.RUNNING for trial in _board(root))


def test_several_objectives_constraints_and_repeats(root: Path, count: Path) -> None:
    project = write_quick(root, count, trials=4)
    config = project.read("mlbench.toml").replace('objective = "maximize score"\n', _MANY_GOALS)
    project.write("mlbench.toml", config)
    project.write("params.toml", "[train]\nx = 0.5\nsize = 1\npause = 0.0\nseed = 4\n")
    training = project.read("train.py").replace("len(rows)", 'train["seed"]')
    project.write("train.py", training)
    project.write("evaluate.py", _EVALUATE_MANY)
    done = project.cli("sweep", NAME, "--json")
    assert done.returncode == 0, done.stderr
    found = gather(newest(root), root, count)
    assert faults(found, 4, _worth_of_two) == []
    runs = {run.id: run for run in found.runs}
    for trial in found.board.values():
        assert [runs[name].params["train.seed"] for name in trial.runs] == [4, 5]
        assert trial.spread == pytest.approx((0.125 / math.sqrt(2), 0.0))
        assert trial.constraints == {"cost <= 5": trial.params["train.size"] - 5}
        assert trial.is_feasible is (trial.params["train.size"] <= 5)
    assert len({trial.is_feasible for trial in found.board.values()}) == 2


def _worth_of_two(params: Mapping[str, Any]) -> tuple[float, ...]:
    """Means over the seeds 4 and 5, binary fractions but for x."""
    x = params["train.x"]
    return ((x + 4 / 8 + x + 5 / 8) / 2, float(params["train.size"]))


def test_a_trial_that_was_asked_for_and_hardly_begun_is_tried_again(
    root: Path, count: Path
) -> None:
    write_quick(root, count, trials=2)
    begun = begun_study(root)
    sweep = configured_sweep(load_project(Layout(root)), NAME)
    base = {"train.x": 0.5, "train.size": 1}
    study = OptunaStudy.open(begun.journal, sweep, base)
    wanted = {"train.x": 0.25, "train.size": 7}
    study.enqueue(wanted)
    # Where a coordinator is killed right behind this, no parameter is decided yet.
    storage = JournalStorage(JournalFileBackend(str(begun.journal)))
    storage.set_trial_state_values(storage.get_all_trials(0)[0]._trial_id, OptunaState.RUNNING)
    assert coordinate(begun, root) == 0
    found = gather(begun, root, count)
    assert faults(found, 2, score) == []
    assert (found.board[0].state, found.board[0].params) == (TrialState.LOST, wanted)
    assert (found.board[1].state, found.board[1].params) == (TrialState.COMPLETE, wanted)


def test_a_run_that_did_not_come_into_the_index_any_more_does_so_later(
    root: Path, count: Path, tmp_path: Path
) -> None:
    write_quick(root, count, trials=2)
    begun = begun_study(root)
    assert killed_at(begun, root, RECORD, "record.lock", tmp_path / "steps.json")
    assert coordinate(begun, root) == 0
    found = gather(begun, root, count)
    assert faults(found, 2, score) == []


@pytest.mark.long
def test_a_pruned_trial_leaves_its_curve_and_no_process(root: Path, count: Path) -> None:
    pruner = f'pruner = {{ name = "ThresholdPruner", upper = {_TOO_LARGE} }}\n'
    project = write_quick(root, count, trials=6, more=pruner)
    config = project.read("mlbench.toml").replace("maximize score", "minimize loss")
    project.write("mlbench.toml", config)
    _add_to_training(project, _HANGS)
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    assert stages_of(root) == []
    layout, store = Layout(root), ExperimentStore(Layout(root))
    pruned = [trial for trial in _board(root) if trial.state is TrialState.PRUNED]
    assert pruned
    of_optuna = optuna_trials(newest(root))
    for trial in _board(root):
        assert (trial in pruned) is (trial.params["train.x"] > _TOO_LARGE)
    for trial in pruned:
        assert "ThresholdPruner" in trial.reason
        (name,) = trial.runs
        assert store.get(name) is not None
        steps, values = StepReader(layout.stage_folder(name, "train")).gather()["loss"].columns()
        assert (steps[0], values[0]) == (0, trial.params["train.x"])
        assert of_optuna[trial.number].intermediate_values[0] == trial.params["train.x"]
