"""`mlbench sweep`: with a real coordinator, and with one that a test has do as it needs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlbench.domain.best_trials import best_of
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import (
    Dimension,
    EnqueueTrial,
    Objective,
    Progress,
    Range,
    StopSweep,
    Study,
    Sweep,
    Trial,
)
from mlbench.engine.study_files import StudyFiles
from mlbench.project.layout import Layout
from tests.support import SmallProject, run_cli, until

CONFIG = """\
[stages.train]
cmd = "sh train.sh"
params = ["train"]
metrics = ["metrics.json"]

[sweeps.small]
stage = "train"
objective = "maximize score"
trials = 3
jobs = 2
sampler = { name = "RandomSampler", seed = 7 }
[sweeps.small.space]
"train.size" = [8, 16, 32]
"""
TRAIN = """\
size=$(sed -n 's/size = //p' params.toml)
echo "{\\"score\\": $size}" > metrics.json
"""
SPACE = (Dimension("train.rate", Range(0.0, 1.0)), Dimension("train.size", choices=(8, 16)))
SWEEP = Sweep("small", "train", (Objective("score", "maximize"),), SPACE, trials=3)
# Holds a study's lock, and says what a coordinator would: one line of standard input a trial.
COORDINATOR = """\
import sys
from pathlib import Path
from mlbench.domain.plain import from_plain
from mlbench.domain.sweeps import Progress, Trial
from mlbench.engine.study_files import StudyFiles
from mlbench.project.layout import Layout
import json
files = StudyFiles(Layout(Path(sys.argv[1])), sys.argv[2])
assert files.lock.try_acquire()
files.write_progress(Progress("running"))
print("ready", flush=True)
for line in sys.stdin:
    told = json.loads(line)
    if "phase" in told:
        files.write_progress(from_plain(Progress, told))
        break
    files.write_trials([from_plain(Trial, told)])
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = SmallProject(tmp_path / "p")
    made.write("mlbench.toml", CONFIG)
    made.write("params.toml", "[train]\nsize = 8\nrate = 0.5  # how fast\n")
    made.write("train.sh", TRAIN)
    return made


def study_of(project: SmallProject, sweep: Sweep = SWEEP) -> StudyFiles:
    files = StudyFiles(Layout(project.root), "20261123-091502-4f3a1c7d")
    files.write_study(Study(files.id, sweep, "2026-11-23T09:15:02.000Z"))
    return files


@contextmanager
def coordinator(files: StudyFiles, root: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", COORDINATOR, str(root), files.id]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def following(root: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "mlbench", "sweep", "small", *words]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until_said(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it never said {words}")


def say(process: subprocess.Popen[str], **told: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(told) + "\n")
    process.stdin.flush()


def test_a_sweep_is_told_as_json_to_its_end_and_applied(project: SmallProject) -> None:
    done = project.cli("sweep", "small", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events].count("trial_started") == 3
    ends = [event for event in events if event["event"] == "trial_finished"]
    assert {event["trial"] for event in ends} == {0, 1, 2}
    for event in ends:
        assert event["state"] == "complete"
        assert event["values"] == [event["params"]["train.size"]]
        assert (project.root / ".mlbench/runs" / event["run"] / "run.json").is_file()
    last = events[-1]
    assert last["event"] == "study_finished"
    assert last["done"] is True
    assert last["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    best = max(event["values"][0] for event in ends)
    assert [one["values"] for one in last["best"]] == [[best]]

    again = project.cli("sweep", "small")
    assert again.returncode == 1
    assert "is done" in again.stderr
    listed = json.loads(project.cli("sweep", "--json").stdout)
    assert [sweep["name"] for sweep in listed["sweeps"]] == ["small"]
    assert [study["state"] for study in listed["studies"]] == ["done"]

    before = project.read("params.toml")
    shown = project.cli("sweep", "small", "--apply")
    assert shown.returncode == 2
    assert f"+size = {best:.0f}" in shown.stdout
    assert "--yes" in shown.stderr
    assert project.read("params.toml") == before
    assert project.cli("sweep", "small", "--apply", "--yes").returncode == 0
    assert project.read("params.toml") == before.replace("size = 8", f"size = {best:.0f}")


def test_a_sweep_on_the_spot_needs_no_configuration(project: SmallProject) -> None:
    words = ("--over", "train.size=8,16", "--minimize", "score", "--trials", "2", "--jobs", "1")
    done = project.cli("sweep", *words, "--seed", "1", "--sampler", "RandomSampler", "quick")
    assert done.returncode == 0, done.stderr
    assert "quick (" in done.stdout
    assert "2 trials: 2 complete" in done.stdout
    assert "score" in project.cli("sweep", "quick", "--show").stdout


def test_what_can_not_be_meant_is_refused_with_a_sentence(project: SmallProject) -> None:
    refused = {
        ("smal",): 'did you mean "small"',
        ("small", "--seed", "1"): "--over",
        ("--over", "train.size=8,16"): "--maximize",
        ("small", "--over", "train.size=8,16", "--maximize", "score"): "another name",
        ("--over", "train.sise=8,16", "--maximize", "score"): "read no parameter train.sise",
        ("small", "--trials", "0"): "1 or more",
        (
            *("--over", "train.size=8,16", "--over", "train.size=4,8"),
            *("--maximize", "score"),
        ): "train.size is varied twice",
        (
            *("--over", "train.size=8,16", "--stage", "train"),
            *("--maximize", "score", "--minimize", "score"),
        ): "score is an objective twice",
        ("--show",): "no study yet",
    }
    for words, sentence in refused.items():
        done = run_cli(project.root, "sweep", *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert sentence in done.stderr, words


def test_it_attaches_to_a_sweep_that_runs_and_tells_what_is_new_alone(
    project: SmallProject,
) -> None:
    files = study_of(project)
    started, ended = "2026-11-23T09:15:02.000Z", "2026-11-23T09:15:03.000Z"
    past = Trial(0, TrialState.COMPLETE, values=(0.5,), started=started, ended=ended)
    files.write_trials([past])
    later = {"started": "2999-01-01T00:00:00.000Z", "ended": "2999-01-01T00:00:01.000Z"}
    with coordinator(files, project.root) as there, following(project.root, "--json") as face:
        until_said(face, "running already")
        refused = project.cli("sweep", "small", "--trials", "9")
        assert refused.returncode == 2
        assert "is running" in refused.stderr
        say(there, number=1, state="complete", values=[0.75], runs=["r"], **later)
        say(there, phase="ended", because="all 3 trials have ended", is_done=True)
        out, _ = face.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    told = [(event["event"], event.get("trial")) for event in events]
    assert told == [
        ("study_started", None),
        ("trial_started", 1),
        ("trial_finished", 1),
        ("study_finished", None),
    ]
    assert events[0]["trials"]["complete"] == 1
    assert (events[2]["best"], events[2]["run"]) == (True, "r")
    assert face.returncode == 0


def test_ctrl_c_stops_the_sweep_and_a_second_one_its_trials(project: SmallProject) -> None:
    files = study_of(project)
    files.write_trials([Trial(0, TrialState.RUNNING, started="2999")])
    with coordinator(files, project.root) as there, following(project.root) as face:
        until_said(face, "Ctrl-C stops it")
        face.send_signal(signal.SIGINT)
        until_said(face, "once more")
        assert files.received() == [StopSweep()]
        face.send_signal(signal.SIGINT)
        until_said(face, "stopping the trials")
        assert files.received() == [StopSweep(at_once=True)]
        say(there, phase="ended", because="it was stopped")
        out, error = face.communicate(timeout=60)
    assert face.returncode == 130
    assert "small ended: it was stopped; `mlbench sweep small` goes on" in error
    assert "1 running" in out


def test_a_terminal_that_is_gone_stops_nothing(project: SmallProject) -> None:
    files = study_of(project)
    files.write_trials([Trial(0, TrialState.RUNNING, started="2999")])
    with coordinator(files, project.root) as there, following(project.root) as face:
        until_said(face, "Ctrl-C stops it")
        face.send_signal(signal.SIGHUP)
        assert face.wait(timeout=60) == 129
        assert files.received() == []
        assert there.poll() is None


def test_a_coordinator_that_is_gone_is_said_and_is_no_success(project: SmallProject) -> None:
    files = study_of(project)
    files.write_trials([Trial(0, TrialState.COMPLETE, values=(0.5,), started="1", ended="2")])
    with coordinator(files, project.root) as there, following(project.root) as face:
        until_said(face, "Ctrl-C stops it")
        there.kill()
        _, error = face.communicate(timeout=60)
    assert face.returncode == 1
    assert "gone without a word" in error


def test_stop_and_enqueue_reach_the_coordinator(project: SmallProject) -> None:
    files = study_of(project)
    kept = project.cli("sweep", "small", "--enqueue", "train.size=16", "train.rate=0.25")
    assert "is not running" in kept.stderr
    assert files.received() == [EnqueueTrial({"train.size": 16, "train.rate": 0.25})]
    with coordinator(files, project.root):
        assert project.cli("sweep", "--stop", "--now").returncode == 0
        until(lambda: files.received() == [StopSweep(at_once=True)])
    assert "is not running" in project.cli("sweep", "--stop").stderr
    for wrong in ("train.size=7", "train.rate=2", "train.rate=fast", "train.siz=8", "train.size"):
        done = project.cli("sweep", "small", "--enqueue", wrong)
        assert done.returncode == 2, wrong
        assert files.received() == []


def test_one_of_a_front_has_to_be_named(project: SmallProject) -> None:
    objectives = (Objective("score", "maximize"), Objective("cost", "minimize"))
    files = study_of(project, Sweep("small", "train", objectives, SPACE, trials=3))
    trials = [
        Trial(0, TrialState.COMPLETE, {"train.size": 16}, (0.5, 1.0)),
        Trial(1, TrialState.COMPLETE, {"train.size": 32}, (0.9, 4.0)),
    ]
    assert best_of(trials, objectives) == (0, 1)
    files.write_trials(trials)
    files.write_progress(Progress("ended", because="all 3 trials have ended", is_done=True))
    refused = project.cli("sweep", "small", "--apply", "--yes")
    assert refused.returncode == 2
    assert "0  score 0.5 · cost 1" in refused.stderr
    assert project.cli("sweep", "small", "--apply", "1", "--yes").returncode == 0
    assert "size = 32" in project.read("params.toml")
    assert project.cli("sweep", "small", "--apply", "7").returncode == 2


def test_names_that_are_no_identifiers_are_written_as_in_gates(project: SmallProject) -> None:
    project.write("train.sh", TRAIN.replace("score", "val/score"))
    config = CONFIG.replace('"maximize score"', "'maximize m[\"val/score\"]'")
    project.write("mlbench.toml", config.replace("trials = 3", "trials = 1"))
    done = run_cli(project.root, "sweep", "small", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["best"][0]["values"][0] in (8, 16, 32)


def test_a_wrong_sampler_is_a_wrong_file_and_nothing_to_go_on_with(project: SmallProject) -> None:
    project.write("mlbench.toml", CONFIG.replace("RandomSampler", "RandomSampel"))
    done = run_cli(project.root, "sweep", "small")
    assert done.returncode == 2
    assert 'did you mean "RandomSampler"?' in done.stderr
    assert "goes on with it" not in done.stderr
