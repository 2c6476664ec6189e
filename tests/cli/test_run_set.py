"""`run --set`: a run with other parameters, in a snapshot, that leaves the project as it is."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import SmallProject, until

GATED_TRAIN = """\
import json, os, pathlib, time, tomllib
from rule import score

rate = tomllib.loads(pathlib.Path("params.toml").read_text())["train"]["rate"]
meeting = pathlib.Path(os.environ["MEETING"])
(meeting / f"began-{rate}").write_text(str(os.getpid()))
while not (meeting / f"go-{rate}").exists():
    time.sleep(0.01)
pathlib.Path("build/model.txt").write_text(f"model {rate}")
pathlib.Path("build/metrics.json").write_text(json.dumps({"score": score(rate)}))
"""


@dataclass(frozen=True)
class Gate:
    """Where a gated `train` says that it has begun, and waits to go on."""

    folder: Path

    def pid(self, rate: float) -> int:
        began = self.folder / f"began-{rate}"
        until(lambda: began.exists() and began.read_text() != "")
        return int(began.read_text())

    def open(self, rate: float) -> None:
        (self.folder / f"go-{rate}").touch()


@pytest.fixture
def gate(small: SmallProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    small.write("train.py", GATED_TRAIN)
    gate = Gate(tmp_path / "meeting")
    gate.folder.mkdir()
    monkeypatch.setenv("MEETING", str(gate.folder))
    yield gate
    for began in gate.folder.glob("began-*"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(began.read_text()), signal.SIGKILL)


def set_rate(project: SmallProject, rate: float, *words: str) -> dict[str, Any]:
    """Run with a rate; gives the last event."""
    done = project.cli("run", "--set", f"train.rate={rate}", "--json", *words)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def start(project: SmallProject, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlbench", "run", *words],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ending(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, complaints = process.communicate(timeout=60)
    return process.returncode, out, complaints


def files_of(project: SmallProject) -> dict[str, tuple[bytes, int]]:
    """Every file of the project itself with its bytes and its time."""
    return {
        path.relative_to(project.root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in project.root.rglob("*")
        if path.is_file() and not {".mlbench", "__pycache__"} & set(path.parts)
    }


def recorded(project: SmallProject) -> list[dict[str, Any]]:
    return list(json.loads(project.cli("runs", "--all", "--json").stdout))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stood(finished: dict[str, Any]) -> bool:
    """Whether no stage ran."""
    return set(finished["stages"].values()) <= {"unchanged", "restored"}


def test_it_runs_with_the_value_and_leaves_the_project_as_it_is(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    before = files_of(small)
    finished = set_rate(small, 0.25)
    assert finished["stages"] == {"prepare": "restored", "train": "ran", "report": "restored"}
    assert finished["metrics"]["score"] == 0.75
    assert files_of(small) == before
    newest, _ = recorded(small)
    assert (newest["id"], newest["origin"]) == (finished["run"], "manual")
    assert newest["params"] == {"train.rate": 0.25}
    assert small.cli("status", "--json").stdout.count('"fresh"') == 3
    assert "step 2" in small.cli("logs", "@last", "train").stdout


def test_what_ran_with_the_same_values_does_not_run_again(small: SmallProject) -> None:
    first = set_rate(small, 0.25)
    again = set_rate(small, 0.25)
    assert stood(again)
    assert again["run"] == first["run"]
    set_rate(small, 0.75)
    assert stood(set_rate(small, 0.25))
    assert len(recorded(small)) == 2
    assert [path.name for path in (small.root / ".mlbench/snapshots").iterdir()] == ["set-1"]
    small.write("params.toml", "[train]\nrate = 0.25 # at last\n")
    done = small.cli("run", "--json")
    finished = json.loads(done.stdout.splitlines()[-1])
    assert stood(finished)
    assert finished["run"] == first["run"]
    assert small.read("build/model.txt") == "model 0.25 of some data"


def test_a_value_that_stands_there_already_is_no_other_run(small: SmallProject) -> None:
    small.cli("run")
    assert stood(set_rate(small, 0.5))
    assert len(recorded(small)) == 1


def test_only_the_stages_that_are_asked_for_run(small: SmallProject) -> None:
    finished = set_rate(small, 0.25, "train")
    assert finished["stages"] == {"prepare": "ran", "train": "ran"}
    assert not (small.root / "build").exists()


def test_forced_it_runs_once_more(small: SmallProject) -> None:
    first = set_rate(small, 0.25)
    again = set_rate(small, 0.25, "train", "--force")
    assert again["stages"]["train"] == "ran"
    assert again["run"] != first["run"]


def test_parameters_of_another_file(small: SmallProject) -> None:
    small.write("conf/rule.yaml", "train:\n  rate: 1  # of what\n")
    config = small.read("mlbench.toml").replace(
        '["train.rate"]', '["train.rate", {"conf/rule.yaml" = ["train.rate"]}]'
    )
    small.write("mlbench.toml", config)
    small.write(
        "rule.py", "def score(rate):\n    return open('conf/rule.yaml').read().split()[2]\n"
    )
    text = small.read("train.py").replace("score(rate)", "float(score(rate))")
    small.write("train.py", text)
    done = small.cli("run", "--set", "conf/rule.yaml:train.rate=0.25", "--json")
    assert done.returncode == 0, done.stderr
    finished = json.loads(done.stdout.splitlines()[-1])
    assert finished["metrics"]["score"] == 0.25
    assert small.read("conf/rule.yaml") == "train:\n  rate: 1  # of what\n"


def test_a_dry_run_says_of_what_follows_only_what_comes_first(small: SmallProject) -> None:
    small.cli("run")
    config = small.read("mlbench.toml").replace(
        '["build/clean.txt"]\nouts = ["build/rep',
        ('["build/clean.txt", "build/model.txt"]\nouts = ["build/rep'),
    )
    small.write("mlbench.toml", config)
    small.cli("run")
    done = small.cli("run", "--dry-run", "--json", "--set", "train.rate=0.25", "report")
    (status,) = [one for one in json.loads(done.stdout)["stages"] if one["name"] == "report"]
    assert [(reason["kind"], reason["what"]) for reason in status["reasons"]] == [
        ("upstream", "train")
    ]


def test_a_dry_run_says_what_would_run_and_runs_nothing(small: SmallProject) -> None:
    small.cli("run")
    before = files_of(small)
    done = small.cli("run", "--dry-run", "--json", "--set", "train.rate=0.25")
    states = {one["name"]: one for one in json.loads(done.stdout)["stages"]}
    assert {name: one["state"] for name, one in states.items()} == {
        "prepare": "fresh",
        "train": "stale",
        "report": "fresh",
    }
    assert states["train"]["reasons"] == [
        {"kind": "param", "what": "train.rate", "detail": "0.5 → 0.25"}
    ]
    assert files_of(small) == before
    assert len(recorded(small)) == 1
    set_rate(small, 0.25)
    done = small.cli("run", "--dry-run", "--json", "--set", "train.rate=0.25")
    assert {one["state"] for one in json.loads(done.stdout)["stages"]} == {"fresh"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["train.raet=1"], 'params.toml: train.raet: there is no such .*mean "train.rate"'),
        (["train=1"], "params.toml: train: is a table.*train.rate"),
        (["train.rate=fast"], 'train.rate is a number, and "fast" is none'),
        (["train.rate"], "sets nothing; write KEY=VALUE"),
        (["train.rate=null"], "can't be set to None"),
        (["nowhere.yaml:a=1"], "nowhere.yaml: there is no such file"),
        (["../small/params.toml/../../x.toml:a=1"], "outside the project"),
        (["train.rate=1", "--locked"], "exclude each other"),
        (["train.rate=1", "trian"], 'no stage "trian".*mean "train"'),
    ],
)
def test_a_bad_value_is_refused_before_anything_starts(
    small: SmallProject, words: list[str], complaint: str
) -> None:
    done = small.cli("run", "--set", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(complaint, done.stderr.splitlines()[-1]), done.stderr
    assert recorded(small) == []
    assert not (small.root / ".mlbench/runs").exists()


def test_two_at_once_each_with_its_own_value(small: SmallProject, gate: Gate) -> None:
    one = start(small, "--set", "train.rate=0.25", "--json")
    gate.pid(0.25)
    other = start(small, "--set", "train.rate=0.75", "--json")
    gate.pid(0.75)
    gate.open(0.75)
    assert ending(other)[0] == 0
    gate.open(0.25)
    assert ending(one)[0] == 0
    assert {run["metrics"]["score"] for run in recorded(small)} == {0.25, 0.75}
    slots = {path.name for path in (small.root / ".mlbench/snapshots").iterdir()}
    assert slots == {"set-1", "set-2"}


def test_it_takes_off_beside_a_training_in_the_project(small: SmallProject, gate: Gate) -> None:
    training = start(small)
    gate.pid(0.5)
    gate.open(0.25)
    assert set_rate(small, 0.25)["stages"]["train"] == "ran"
    assert training.poll() is None
    gate.open(0.5)
    assert ending(training)[0] == 0
    assert small.read("build/model.txt") == "model 0.5"
    assert small.cli("status", "--json").stdout.count('"fresh"') == 3


def test_an_edit_neither_reaches_nor_stops_it(small: SmallProject, gate: Gate) -> None:
    process = start(small, "--set", "train.rate=0.25", "--json")
    gate.pid(0.25)
    before = {name: small.read(name) for name in ("train.py", "rule.py", "mlbench.toml")}
    small.write("params.toml", "[train]\nrate = 9\n")
    small.write("train.py", "raise SystemExit('edited')\n")
    small.write("rule.py", "def score(rate):\n    return -1\n")
    small.write("mlbench.toml", before["mlbench.toml"].replace("report", "told"))
    gate.open(0.25)
    status, out, complaints = ending(process)
    assert status == 0, complaints
    finished = json.loads(out.splitlines()[-1])
    assert finished["stages"] == {"prepare": "ran", "train": "ran", "report": "ran"}
    assert finished["metrics"]["score"] == 0.75
    for name, text in before.items():
        small.write(name, text)
    small.write("params.toml", "[train]\nrate = 0.25\n")
    done = small.cli("run", "--json")
    assert stood(json.loads(done.stdout.splitlines()[-1]))


def test_ctrl_c_stops_it_and_leaves_nothing(small: SmallProject, gate: Gate) -> None:
    process = start(small, "--set", "train.rate=0.25")
    pid = gate.pid(0.25)
    process.send_signal(signal.SIGINT)
    assert ending(process)[0] == 130
    assert not is_alive(pid)
    (run,) = recorded(small)
    assert run["outcome"] == "cancelled"
    gate.open(0.75)
    set_rate(small, 0.75)
    assert [path.name for path in (small.root / ".mlbench/snapshots").iterdir()] == ["set-1"]


def test_stop_stops_it_from_another_terminal(small: SmallProject, gate: Gate) -> None:
    process = start(small, "--set", "train.rate=0.25")
    pid = gate.pid(0.25)
    assert "train" in small.cli("stop").stderr
    assert ending(process)[0] == 1
    assert not is_alive(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "hung up"])
def test_the_next_holder_goes_on_with_it(
    small: SmallProject, gate: Gate, number: signal.Signals
) -> None:
    process = start(small, "--set", "train.rate=0.25")
    pid = gate.pid(0.25)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert is_alive(pid)
    small.write("params.toml", "[train]\nrate = 0.5 # edited\n")
    small.write("train.py", "raise SystemExit('edited')\n")
    follower = start(small, "report", "--json")
    gate.open(0.25)
    assert ending(follower)[0] == 0
    until(lambda: small.cli("run", "report").returncode == 0 and len(recorded(small)) == 2)
    run = next(run for run in recorded(small) if "train.rate" in str(run["params"]))
    (of_train,) = [run for run in recorded(small) if run["metrics"]]
    assert of_train["params"] == {"train.rate": 0.25}
    assert of_train["metrics"]["score"] == 0.75
    assert run["outcome"] == "passed"
    assert not (small.root / "build/model.txt").exists()


def test_whoever_is_attached_goes_on_with_its_own_run(small: SmallProject, gate: Gate) -> None:
    holder = start(small)
    gate.pid(0.5)
    attached = start(small, "--set", "train.rate=0.25", "--json")
    pid = gate.pid(0.25)
    holder.kill()
    holder.communicate(timeout=60)
    gate.open(0.5)
    gate.open(0.25)
    status, out, complaints = ending(attached)
    assert status == 0, complaints
    assert json.loads(out.splitlines()[-1])["metrics"]["score"] == 0.75
    assert not is_alive(pid)


def test_stop_ends_what_a_killed_holder_has_left(small: SmallProject, gate: Gate) -> None:
    process = start(small, "--set", "train.rate=0.25")
    pid = gate.pid(0.25)
    process.kill()
    process.communicate(timeout=60)
    assert "train" in small.cli("stop").stderr
    until(lambda: not is_alive(pid))


def test_its_model_becomes_a_candidate(tiny: SmallProject) -> None:
    before = files_of(tiny)
    done = tiny.cli("run", "--set", "train.c=0.5", "--json")
    assert done.returncode == 0, done.stderr
    finished = json.loads(done.stdout.splitlines()[-1])
    newest = json.loads(tiny.cli("models", "--json").stdout)[0]
    assert (newest["run"], newest["version"]) == (finished["run"], None)
    assert newest["parity"]["passed"]
    assert files_of(tiny) == before
    promoted = tiny.cli("promote", f"flowers@{finished['name']}", "staging")
    assert promoted.returncode == 0, promoted.stderr
