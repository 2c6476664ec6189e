"""Coordinators beside the ordinary: nothing left to try, stale words, no seat, a twin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import EnqueueTrial, StopSweep, StopTrial
from mlbench.engine.study_files import StudyFiles, all_studies
from mlbench.project.layout import Layout
from tests.engine.sweeping.coordinator_killing import LOSE
from tests.engine.sweeping.quick_sweep import (
    begun_study,
    coordinate,
    killed_at,
    newest,
    write_quick,
)
from tests.small_disk import small_disk
from tests.support import SmallProject

_CONFIG = """\
[project]
name = "tiny"

[stages.train]
cmd = "sh train.sh"
params = ["a", "b"]
outs = []
metrics = ["out/metrics.json"]
{resources}
[sweeps.grid]
stage = "train"
objective = "maximize score"
trials = 20
jobs = 2
sampler = "GridSampler"
[sweeps.grid.space]
a = [1, 2]
b = [1, 2]
"""
_TRAIN = """\
mkdir -p out
a=$(sed -n 's/^a = //p' params.toml)
echo "{\\"score\\": $a}" > out/metrics.json
"""


def _tiny(root: Path, resources: str = "") -> SmallProject:
    project = SmallProject(root)
    project.write("mlbench.toml", _CONFIG.format(resources=resources))
    project.write("params.toml", "a = 1\nb = 1\n")
    project.write("train.sh", _TRAIN)
    return project


def test_a_grid_is_tried_once_by_one_coordinator_and_goes_on_for_what_is_asked_for(
    tmp_path: Path,
) -> None:
    # A name as people have them.
    project = _tiny(tmp_path / "mé projet")
    assert project.cli("run").returncode == 0
    words = [sys.executable, "-m", "mlbench", "sweep", "grid"]
    faces = [
        subprocess.Popen(words, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    told = [face.communicate()[0].decode() for face in faces]
    (files,) = all_studies(Layout(project.root.resolve()))
    tried = [(trial.params["a"], trial.params["b"]) for trial in files.trials().values()]
    assert sorted(tried) == [(1, 1), (1, 2), (2, 1), (2, 2)], told
    assert files.progress().because == "everything in its space was tried"

    # Trials are nothing that ever stood in the project.
    project.write("params.toml", "a = 7\nb = 1\n")
    assert "a  1 → 7" in project.cli("status").stdout

    # Nobody was there to read this: the next start is not stopped by it, and tries what waits.
    files.send(StopSweep(at_once=True))
    files.send(EnqueueTrial({"a": 2, "b": 1}))
    done = project.cli("sweep", "grid")
    assert done.returncode == 0, done.stderr
    assert newest(project.root).id == files.id
    assert [trial.params for trial in files.trials().values() if trial.is_by_hand] == [
        {"a": 2, "b": 1}
    ]


def test_commands_that_are_none_are_dropped(tmp_path: Path) -> None:
    files = StudyFiles(Layout(tmp_path), "study")
    files.send(EnqueueTrial({"a": 1}))
    files.send(StopTrial(3))
    for name, text in enumerate(('{"command": "dance"}', "[]", "{", json.dumps({"number": 1}))):
        (files.folder / "inbox" / f"{name}.json").write_text(text)
    files.forget_stops()
    files.send(StopSweep())
    assert files.received() == [EnqueueTrial({"a": 1}), StopSweep()]
    assert files.received() == []


@pytest.mark.parametrize(
    ("wants", "told"), [("cpu = 4096", "asks for 4096 cores"), ('memory = "900TB"', "of memory")]
)
def test_a_stage_that_never_finds_a_seat_is_refused(tmp_path: Path, wants: str, told: str) -> None:
    project = _tiny(tmp_path, f"resources = {{ {wants} }}\n")
    done = project.cli("sweep", "grid")
    assert done.returncode != 0
    assert "sweep grid: stage train asks for" in done.stderr
    assert told in done.stderr
    assert all_studies(Layout(tmp_path)) == []


def test_a_full_disk_costs_no_trial(tmp_path: Path) -> None:
    with small_disk("3m") as disk:
        project = _tiny(disk / "project")
        project.write("train.sh", _TRAIN + "head -c 300000 /dev/urandom > out/model\n")
        config = project.read("mlbench.toml").replace("[1, 2]", "[1, 2, 3, 4, 5]")
        project.write("mlbench.toml", config.replace("outs = []", 'outs = ["out/model"]'))
        full = project.cli("sweep", "grid")
        assert full.returncode == 1
        assert "Traceback" not in full.stdout + full.stderr
        assert "No space left on device" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = project.cli("sweep", "grid")
        assert done.returncode == 0, done.stderr
        ended = [one for one in newest(project.root).trials().values() if one.state.has_ended]
        assert len(ended) == 20
        # The command itself may have found no room, and then says so.
        failed = [trial.reason for trial in ended if trial.state is TrialState.FAILED]
        assert [reason for reason in failed if reason.startswith(("train: No", "No"))] == []


# Once, a trial stops the whole sweep at once and waits for that.
_STOPS_ALL = """\
import json, os, time
mark = {mark!r}
if not os.path.exists(mark):
    open(mark, "w").close()
    os.makedirs({inbox!r}, exist_ok=True)
    with open({inbox!r} + "/.new", "w") as command:
        json.dump({{"command": "stop", "at_once": True}}, command)
    os.rename({inbox!r} + "/.new", {inbox!r} + "/stop.json")
    time.sleep(60)
"""


def test_a_trial_that_was_stopped_when_its_coordinator_was_killed_is_tried_again(
    tmp_path: Path,
) -> None:
    root = (tmp_path / "quick").resolve()
    project = write_quick(root, tmp_path / "prepared", trials=3)
    files = begun_study(root)
    stops = _STOPS_ALL.format(mark=str(tmp_path / "mark"), inbox=str(files.folder / "inbox"))
    project.write("train.py", stops + project.read("train.py"))
    assert killed_at(files, root, LOSE, "1", tmp_path / "steps.json")
    assert coordinate(files, root) == 0
    states = [trial.state for trial in files.trials().values()]
    assert states.count(TrialState.COMPLETE) == 3
    assert set(states) == {TrialState.COMPLETE, TrialState.LOST}
