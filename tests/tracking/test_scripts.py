"""The runs of scripts as readers find them: described, damaged, and taken into the index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.domain.outcomes import RunOutcome
from mlbench.inside.steplog import POINT, RECORD
from mlbench.inside.stepwriter import StepWriter
from mlbench.project.layout import Layout
from mlbench.tracking.live import latest_values
from mlbench.tracking.scripts import DIED, read_script_run
from mlbench.tracking.store import ExperimentStore
from tests.support import commit_all

REPOSITORY = Path(__file__).parents[2]
ID = "20261123-091502-4f3a1c7d"


def _run(project: Path, script: str) -> None:
    (project / "train.py").write_text(f"import mlbench\n{script}\n")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("MLBENCH_STAGE_DIR", None)
    subprocess.run([sys.executable, "train.py"], cwd=project, env=environment, check=True)


def _folder(layout: Layout) -> Path:
    """A run's folder as a script that died left it."""
    folder = layout.run_folder(ID)
    folder.mkdir(parents=True)
    script = {"id": ID, "script": "train", "started": 1795424102.5, "by": "ada", "more": [1]}
    (folder / "script.json").write_text(json.dumps(script))
    return folder


def test_a_script_is_recorded_with_its_code_diff_and_environment(layout: Layout) -> None:
    (layout.root / "train.py").write_text("")
    commit_all(layout.root)
    script = "mlbench.log(loss=1)\nwith mlbench.run('child'): mlbench.log(loss=2)"
    _run(layout.root, script)
    # It has ended, and is looked at before what describes it may have.
    store = ExperimentStore(layout)
    own, child = store.runs()
    assert (own.outcome, child.outcome) == (RunOutcome.PASSED, RunOutcome.PASSED)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=layout.root, capture_output=True, text=True, check=True
    ).stdout.strip()
    for run in (own, child):
        assert (run.code.commit, run.code.dirty) == (head, True)
        folder = layout.run_folder(run.id)
        assert "+mlbench.log(loss=1)" in (folder / "diff.patch").read_text()
        assert json.loads((folder / "environment.json").read_text())["python"] == sys.executable
    assert child.parent == own.id
    assert store.ids() == {own.id, child.id}
    assert list(layout.unrecorded.iterdir()) == []


def test_a_script_without_a_repository_is_recorded_too(layout: Layout) -> None:
    _run(layout.root, "mlbench.log_params(lr=0.5); mlbench.log(loss=1)")
    (run,) = ExperimentStore(layout).runs()
    assert (run.params, run.metrics, run.code.commit) == ({"lr": 0.5}, {"loss": 1.0}, None)


def test_a_run_that_died_says_so_and_how_long_it_was_seen(layout: Layout) -> None:
    folder = _folder(layout)
    stage = folder / "stages" / "train"
    stage.mkdir(parents=True)
    writer = StepWriter(str(stage))
    writer.add("loss", 0.5, 0, 1.0)
    writer.close()
    for file in stage.iterdir():
        os.utime(file, (0, 1795424112.5))
    run = read_script_run(folder)
    assert run is not None
    assert (run.outcome, run.seconds) == (RunOutcome.FAILED, 10.0)
    assert run.started == "2026-11-23T08:55:02.500Z"
    assert run.stages["train"].message == DIED
    assert (run.metrics, run.extremes["loss"].min) == ({"loss": 0.5}, 0.5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 3', '{"id": "a", "script": "b"}'])
def test_a_folder_without_a_whole_beginning_holds_no_run(layout: Layout, text: str) -> None:
    folder = _folder(layout)
    (folder / "script.json").write_text(text)
    assert read_script_run(folder) is None
    assert read_script_run(folder / "missing") is None


@pytest.mark.parametrize("text", ["", "[]", '{"outcome": "great", "seconds": 1}', " " * 2048])
def test_an_ending_that_is_damaged_is_none(layout: Layout, text: str) -> None:
    folder = _folder(layout)
    (folder / "ended.json").write_text(text)
    run = read_script_run(folder)
    assert run is not None
    assert run.outcome is RunOutcome.FAILED


@pytest.mark.parametrize("text", ["", "[]", '{"code": 3}', '{"code": {"commit": "4f3a1c"}}'])
def test_an_opening_of_any_kind_is_read(layout: Layout, text: str) -> None:
    folder = _folder(layout)
    (folder / "opening.json").write_text(text)
    run = read_script_run(folder)
    assert run is not None
    assert run.code.commit == ("4f3a1c" if "commit" in text else None)


def test_the_latest_values_come_from_the_ends_of_all_logs(tmp_path: Path) -> None:
    one, other = StepWriter(str(tmp_path)), StepWriter(str(tmp_path))
    for step in range(5000):
        one.add("loss", float(step), step, float(step))
    other.add("loss", -1.0, 6000, 0.5)
    one.add("accuracy", 0.5, 3, 9.0)
    other.add("accuracy", 0.25, 3, 8.0)
    (tmp_path / "steps-9-9.bin").write_bytes(RECORD.pack(1, 0.5, 1.0, 3, POINT) + b"torn")
    (tmp_path / "steps-9-9.names").write_bytes(b"")
    assert latest_values(tmp_path) == {"loss": -1.0, "accuracy": 0.5}
    one.close()
    other.close()
    assert latest_values(tmp_path) == {"loss": -1.0, "accuracy": 0.5}
    assert latest_values(tmp_path / "missing") == {}
