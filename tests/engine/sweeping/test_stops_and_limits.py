"""Real coordinators that are stopped, run into a limit, can't go on, or go on with other jobs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import StopSweep
from mlbench.engine.study_files import StudyFiles, all_studies
from mlbench.project.layout import Layout
from tests.engine.sweeping.evidence import coordinators_of, faults, gather, stages_of
from tests.engine.sweeping.quick_sweep import (
    NAME,
    begun_study,
    coordinate,
    coordinator,
    newest,
    score,
    write_quick,
)
from tests.small_disk import small_disk
from tests.support import SmallProject, until

_WAITS = """\
import os
while not os.path.exists({go!r}):
    time.sleep(0.01)
"""
_JOBS = 2
_SEED = 4
# Each repeat says that it is there; the last one waits.
_NOTES_SEEDS = """\
import os
with open({seen!r}, "a") as seen:
    print(train["x"], train["seed"], file=seen)
while train["seed"] == {last} and not os.path.exists({go!r}):
    time.sleep(0.01)
"""


def _add_to_training(project: SmallProject, code: str) -> None:
    text = project.read("train.py")
    project.write("train.py", text.replace("rows = Path", f"{code}rows = Path", 1))


def _states(files: StudyFiles) -> Counter[TrialState]:
    return Counter(trial.state for trial in files.trials().values())


def _waiting_study(root: Path, count: Path, go: Path, trials: int) -> StudyFiles:
    project = write_quick(root, count, trials=trials)
    _add_to_training(project, _WAITS.format(go=str(go)))
    return begun_study(root)


def test_a_stop_lets_trials_end_and_a_second_one_does_not(
    root: Path, count: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    files = _waiting_study(root, count, go, 5)
    with coordinator(files, root) as process:
        until(lambda: _states(files)[TrialState.RUNNING] == _JOBS)
        files.send(StopSweep())
        until(lambda: files.progress().phase == "finishing")
        go.touch()
    assert process.returncode == 0
    assert _states(files) == {TrialState.COMPLETE: _JOBS}
    assert (files.progress().because, files.progress().is_done) == ("it was stopped", False)

    go.unlink()
    with coordinator(files, root) as process:
        until(lambda: _states(files)[TrialState.RUNNING] == _JOBS and len(stages_of(root)) > 0)
        files.send(StopSweep())
        until(lambda: files.progress().phase == "finishing")
        files.send(StopSweep(at_once=True))
    assert process.returncode == 0
    assert stages_of(root) == []
    lost = [one for one in files.trials().values() if one.state is TrialState.LOST]
    assert {one.reason for one in lost} == {
        "stopped with the sweep; it is tried again when that goes on"
    }
    assert _states(files) == {
        TrialState.COMPLETE: _JOBS,
        TrialState.LOST: _JOBS,
        TrialState.WAITING: _JOBS,
    }

    go.touch()
    assert coordinate(files, root) == 0
    found = gather(files, root, count)
    assert faults(found, 5, score) == []
    # What was stopped is tried before anything else.
    again = [one.params for one in found.board.values() if one.state is TrialState.COMPLETE]
    tried_next = sorted(params["train.x"] for params in again[_JOBS : 2 * _JOBS])
    assert tried_next == sorted(one.params["train.x"] for one in lost)


def _mean(params: Mapping[str, Any]) -> tuple[float, ...]:
    """Over the seeds 4, 5 and 6: x comes in eighths, so that nothing is rounded."""
    return (params["train.x"] + (_SEED + 1) / 8,)


@pytest.mark.parametrize("is_all_killed", [False, True])
def test_a_study_goes_on_in_the_middle_of_repeats(
    root: Path, count: Path, tmp_path: Path, is_all_killed: bool
) -> None:
    seen, go = tmp_path / "seen", tmp_path / "go"
    project = write_quick(root, count, trials=2, more="repeats = 3\n")
    config = project.read("mlbench.toml")
    space = '"train.x" = { low = 0.0, high = 1.0 }'
    config = config.replace(space, '"train.x" = { low = 0.0, high = 1.0, step = 0.125 }')
    project.write("mlbench.toml", config.replace("jobs = 2", "jobs = 1"))
    project.write("params.toml", f"[train]\nx = 0.5\nsize = 1\npause = 0.0\nseed = {_SEED}\n")
    notes = _NOTES_SEEDS.format(seen=str(seen), go=str(go), last=_SEED + 2)
    _add_to_training(project, notes)
    project.write("train.py", project.read("train.py").replace("len(rows)", 'train["seed"]'))
    evaluate = project.read("evaluate.py").partition("score =")[0] + "score = x + rows / 8\n"
    project.write(
        "evaluate.py", evaluate + 'json.dump({"score": score}, open("build/metrics.json", "w"))'
    )
    files = begun_study(root)
    with coordinator(files, root) as process:
        until(lambda: seen.exists() and len(seen.read_text().splitlines()) == 3)
        process.kill()
    if is_all_killed:
        _kill_stages(root)
    go.touch()
    assert coordinate(files, root) == 0
    found = gather(files, root, count)
    assert faults(found, 2, _mean) == []
    complete = [one for one in found.board.values() if one.state is TrialState.COMPLETE]
    params = {run.id: run.params for run in found.runs}
    for trial in complete:
        seeds = [params[run]["train.seed"] for run in trial.runs]
        assert seeds == [_SEED, _SEED + 1, _SEED + 2]
        assert trial.spread == pytest.approx((0.125,))
    assert (TrialState.LOST in _states(files)) is is_all_killed
    # What had ended before comes from the cache; only what was killed ran again.
    ran = Counter(seen.read_text().splitlines())
    assert sum(ran.values()) == 6 + is_all_killed


def _kill_stages(root: Path) -> None:
    """Everything that a killed coordinator has left, supervisors first: these would tell."""
    for record in root.glob(".mlbench/runs/*/stages/train/process.json"):
        told = json.loads(record.read_text())
        for kill, process in ((os.kill, told["supervisor"]), (os.killpg, told["group"])):
            with contextlib.suppress(ProcessLookupError):
                kill(process[0], signal.SIGKILL)


def test_a_study_goes_on_with_other_jobs(root: Path, count: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    files = _waiting_study(root, count, go, 4)
    with coordinator(files, root) as process:
        until(lambda: _states(files)[TrialState.RUNNING] == _JOBS)
        process.kill()
    go.touch()
    project = SmallProject(root)
    done = project.cli("sweep", NAME, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    found = gather(files, root, count)
    assert faults(found, 4, score) == []
    assert [found.board[number].slot for number in range(4)] == [1, 2, 1, 1]
    done = project.cli("sweep", NAME, "--jobs", "3", "--trials", "7")
    assert done.returncode == 0, done.stderr
    found = gather(files, root, count)
    assert faults(found, 7, score) == []
    assert {found.board[number].slot for number in range(4, 7)} == {1, 2, 3}


@pytest.mark.parametrize(
    ("limit", "jobs", "told"),
    [("timeout = 0.2", 2, "its time of"), ("patience = 2", 1, "no better one in 2 trials")],
)
def test_a_limit_ends_a_study_and_a_larger_one_goes_on(
    root: Path, count: Path, limit: str, jobs: int, told: str
) -> None:
    project = write_quick(root, count, trials=40, pause=0.03, more=limit)
    config = project.read("mlbench.toml").replace("jobs = 2", f"jobs = {jobs}")
    project.write("mlbench.toml", config)
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    assert told in done.stderr
    files = newest(root)
    ended = [one for one in files.trials().values() if one.state.has_ended]
    best = max(ended, key=lambda one: one.values).number
    # Those that ran when the time was over have ended; each takes longer than it.
    assert len(ended) == (jobs if limit.startswith("timeout") else best + 3)
    assert faults(gather(files, root, count), len(ended), score) == []

    project.write("mlbench.toml", config.replace(limit, ""))
    done = project.cli("sweep", NAME, "--trials", str(len(ended) + 1))
    assert done.returncode == 0, done.stderr
    assert newest(root).id == files.id
    assert faults(gather(files, root, count), len(ended) + 1, score) == []


def test_of_two_that_begin_at_once_one_follows_the_other(
    root: Path, count: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    project = write_quick(root, count, trials=3)
    _add_to_training(project, _WAITS.format(go=str(go)))
    words = [sys.executable, "-m", "mlbench", "sweep", NAME]
    faces = [
        subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    until(lambda: any(_states(files)[TrialState.RUNNING] for files in all_studies(Layout(root))))
    assert len(coordinators_of(root)) == 1
    # A coordinator that somebody starts by hand finds it taken, and leaves it alone.
    assert coordinate(newest(root), root) == 0
    go.touch()
    told = [face.communicate()[0].decode() for face in faces]
    assert [face.returncode for face in faces] == [0, 0], told
    assert sum(f"{NAME} is running already; following it" in text for text in told) == 1
    assert len(all_studies(Layout(root))) == 1
    assert faults(gather(newest(root), root, count), 3, score) == []


def test_a_folder_that_can_not_be_written_is_one_sentence_and_costs_nothing(count: Path) -> None:
    with small_disk("32m") as disk:
        root = (disk / "quick").resolve()
        project = write_quick(root, count, trials=2)
        assert project.cli("sweep", NAME).returncode == 0
        own = str(Layout(root).own)
        subprocess.run(["mount", "--bind", own, own], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", own], check=True)
        refused = project.cli("sweep", NAME, "--trials", "3")
        subprocess.run(["umount", "-l", own], check=True)
        assert refused.returncode == 2, refused.stderr
        assert refused.stderr.count("\n") == 1
        assert f"{root}" in refused.stderr
        done = project.cli("sweep", NAME, "--trials", "3")
        assert done.returncode == 0, done.stderr
        assert faults(gather(newest(root), root, count), 3, score) == []


_NO_NUMBER = (
    ("{ low = 0.0, high = 1.0 }", '["far"]'),
    ("high = 9 }", "high = 9, when = 'train.x > 0.5' }"),
)
_NO_CANDIDATES = (
    ("jobs = 2", "jobs = 1"),
    ('"RandomSampler"', '"TPESampler", n_startup_trials = 1, n_ei_candidates = 0'),
)


@pytest.mark.parametrize(
    ("changes", "told", "complete"),
    [(_NO_NUMBER, "train.size: when: ", 0), (_NO_CANDIDATES, "TPESampler can't draw a trial: ", 1)],
    ids=["condition", "sampler"],
)
def test_values_that_can_not_be_drawn_are_one_sentence(
    root: Path, count: Path, changes: tuple[tuple[str, str], ...], told: str, complete: int
) -> None:
    project = write_quick(root, count, trials=3)
    config = project.read("mlbench.toml")
    for old, new in changes:
        assert old in config
        config = config.replace(old, new)
    project.write("mlbench.toml", config)
    done = project.cli("sweep", NAME)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    ended = [line for line in done.stderr.splitlines() if line.startswith(f"{NAME} ended: ")]
    assert len(ended) == 1
    assert told in ended[0]
    # The board says so of the trial, also where it is made anew.
    for _ in range(2):
        states = _states(newest(root))
        assert (states[TrialState.COMPLETE], states[TrialState.LOST] > 0) == (complete, True)
        trials = newest(root).trials().values()
        lost = [one for one in trials if one.state is TrialState.LOST]
        assert all(one.reason.startswith(told) for one in lost)
        assert project.cli("sweep", NAME).returncode == 1
