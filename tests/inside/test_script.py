"""Runs that a plain `python train.py` begins by itself, and how each way of ending is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run
from tests.inside.conftest import Ended, Start
from tests.inside.script_runs import ALONE, the_run
from tests.series import series_in
from tests.small_disk import small_disk


def script_of(project: Path, run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (project / ".mlbench" / "runs" / run.id / "script.json").read_text()
    )
    return found


def test_the_first_call_begins_a_run_of_the_scripts_own(ended: Ended, tmp_path: Path) -> None:
    script = """
mlbench.log_params(lr=0.1)
mlbench.log(loss=2.0)
mlbench.log(loss=0.5)
mlbench.log(loss=1.0)
mlbench.set_tags("good", team="vision")
"""
    assert ended(script) == (0, "")
    run = the_run(tmp_path)
    assert (run.outcome, run.origin) == (RunOutcome.PASSED, "script")
    assert (run.params, run.metrics) == ({"lr": 0.1}, {"loss": 1.0})
    assert (run.extremes["loss"].min, run.extremes["loss"].min_step) == (0.5, 1)
    assert run.marks.tags == ("good", "team=vision")
    assert run.stages["python"].metrics == run.metrics
    assert (tmp_path / ".mlbench/unrecorded" / run.id).read_bytes() == b""
    assert (tmp_path / ".mlbench/.gitignore").read_text().endswith("*\n")
    said = script_of(tmp_path, run)
    assert said["root"] == said["cwd"] == str(tmp_path)
    assert said["python"] == sys.executable


@pytest.mark.parametrize(
    ("words", "name"),
    [(["train.py"], "train"), (["-m", "pkg.fit"], "fit"), (["-m", "pkg"], "pkg")],
)
def test_a_script_gives_its_one_stage_its_name(tmp_path: Path, words: list[str], name: str) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    for file in (tmp_path / "train.py", package / "fit.py", package / "__main__.py"):
        file.write_text(f"{ALONE}\nmlbench.log(loss=1)\n")
    repository = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    secret = ["--api-key=abc", "--token", "abc", "--lr", "0.1"]
    subprocess.run(
        [sys.executable, *words, *secret], cwd=tmp_path, env=environment, check=True, timeout=60
    )
    run = the_run(tmp_path)
    assert list(run.stages) == [name]
    assert script_of(tmp_path, run)["argv"][1:] == ["--api-key=***", "--token", "***", *secret[3:]]


@pytest.mark.parametrize("mark", ["mlbench.toml", "dvc.yaml", ".mlbench/runs/old/run.json"])
def test_the_run_belongs_to_the_project_around_the_script(
    ended: Ended, tmp_path: Path, mark: str
) -> None:
    (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mark).touch()
    ended('import os; os.makedirs("deep/er"); os.chdir("deep/er"); mlbench.log(loss=1)')
    assert the_run(tmp_path).outcome is RunOutcome.PASSED
    assert not (tmp_path / "deep" / "er" / ".mlbench").exists()


@pytest.mark.parametrize(
    ("last", "status", "outcome", "message"),
    [
        ("raise ValueError('no data\\nat all')", 1, RunOutcome.FAILED, "ValueError: no data"),
        ("assert False", 1, RunOutcome.FAILED, "AssertionError"),
        ("import sys; sys.exit(3)", 3, RunOutcome.FAILED, "exit status 3"),
        ("import sys; sys.exit('no data')", 1, RunOutcome.FAILED, "no data"),
        ("import sys; sys.exit(0)", 0, RunOutcome.PASSED, ""),
        ("import sys; sys.exit()", 0, RunOutcome.PASSED, ""),
        ("import os; os._exit(0)", 0, RunOutcome.PASSED, ""),
        ("import os; os._exit(4)", 4, RunOutcome.FAILED, "exit status 4"),
        ("raise KeyboardInterrupt", -2, RunOutcome.CANCELLED, "interrupted"),
        ("import os; os.kill(os.getpid(), 2)", -2, RunOutcome.CANCELLED, "interrupted"),
        ("import os; os.kill(os.getpid(), 15)", -15, RunOutcome.CANCELLED, "SIGTERM"),
        ("import os; os.kill(os.getpid(), 1)", -1, RunOutcome.CANCELLED, "SIGHUP"),
        ("import os; os.kill(os.getpid(), 9)", -9, RunOutcome.FAILED, "its process died"),
        ("import os; os.abort()", -6, RunOutcome.FAILED, "its process died"),
    ],
)
def test_the_end_of_the_process_is_that_of_the_run(
    ended: Ended, tmp_path: Path, last: str, status: int, outcome: RunOutcome, message: str
) -> None:
    assert ended(f"mlbench.log(loss=1)\n{last}")[0] == status
    run = the_run(tmp_path)
    assert (run.outcome, run.stages["python"].message) == (outcome, message)
    assert run.metrics == {"loss": 1.0}


def test_an_exit_that_is_caught_is_none(ended: Ended, tmp_path: Path) -> None:
    script = """
import sys, threading
mlbench.log(loss=1)
try:
    sys.exit(3)
except SystemExit:
    mlbench.log(loss=2)
thread = threading.Thread(target=sys.exit, args=(4,))
thread.start()
thread.join()
"""
    assert ended(script)[0] == 0
    assert the_run(tmp_path).outcome is RunOutcome.PASSED


def test_the_scripts_own_hooks_and_handlers_stay(ended: Ended, tmp_path: Path) -> None:
    script = """
import atexit, os, signal, sys
atexit.register(lambda: mlbench.log(late=1))
signal.signal(signal.SIGTERM, lambda *words: print("own", file=sys.stderr))
mlbench.log(loss=1)
sys.excepthook = lambda *words: print("hooked", file=sys.stderr)
os.kill(os.getpid(), signal.SIGTERM)
raise ValueError("no data")
"""
    assert ended(script) == (1, "own\nhooked\n")
    run = the_run(tmp_path)
    assert run.stages["python"].message == "ValueError: no data"
    assert run.metrics == {"loss": 1.0, "late": 1.0}


def test_a_secret_of_the_environment_is_nowhere_in_the_record(
    ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "squeamish-ossifrage")
    script = """
import os
mlbench.log_params(url="https://ada:squeamish-ossifrage@localhost/")
mlbench.set_tags("squeamish-ossifrage")
raise ValueError(os.environ["SERVICE_TOKEN"] + " was refused")
"""
    ended(script)
    run = the_run(tmp_path)
    assert run.params == {"url": "https://ada:***@localhost/"}
    assert run.stages["python"].message == "ValueError: *** was refused"
    files = [path for path in (tmp_path / ".mlbench").rglob("*") if path.is_file()]
    assert not any(b"squeamish" in path.read_bytes() for path in files)


def test_it_is_running_as_long_as_it_lives(start: Start, tmp_path: Path) -> None:
    script = f"""{ALONE}
for step in range(20_000):
    mlbench.log(loss=step)
mlbench.log(rare=1)
print("ready", flush=True)
input()
"""
    process = start(script, None)
    assert process.stdout is not None
    process.stdout.readline()
    run = the_run(tmp_path)
    assert run.outcome is None
    assert run.metrics == {"loss": 19_999.0, "rare": 1.0}
    assert run.seconds > 0
    process.kill()
    process.wait()
    run = the_run(tmp_path)
    assert (run.outcome, run.stages["python"].message) == (RunOutcome.FAILED, "its process died")
    assert run.metrics == {"loss": 19_999.0, "rare": 1.0}


def test_it_can_be_switched_off(
    ended: Ended, tmp_path: Path, stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLBENCH_LOGGING", "off")
    script = "with mlbench.run('a'): mlbench.log(loss=1); mlbench.log_params(a=1)"
    assert ended(script) == (0, "")
    assert not (tmp_path / ".mlbench").exists()
    assert ended("mlbench.log(loss=1)", stage) == (0, "")
    assert list(series_in(stage)) == ["loss"]


def test_a_project_that_cannot_be_written_is_said_once(ended: Ended, tmp_path: Path) -> None:
    (tmp_path / ".mlbench").write_text("in the way")
    script = """
for step in range(3):
    mlbench.log(loss=step)
    with mlbench.run("a"):
        mlbench.log(loss=step)
"""
    status, errors = ended(script)
    assert status == 0
    assert errors.count("can't begin") == errors.count("\n") == 2
    assert "mlbench: log() can't begin a run" in errors
    assert "mlbench: run() can't begin one" in errors


def test_a_folder_that_is_removed_meanwhile_stops_nothing(ended: Ended, tmp_path: Path) -> None:
    script = """
import shutil
mlbench.log(loss=1)
shutil.rmtree(".mlbench")
for step in range(5000):
    mlbench.log(loss=step)
mlbench.set_tags("good")
mlbench.log_artifact(__import__("sys").executable)
mlbench.log_params(a=1)
"""
    status, errors = ended(script)
    assert status == 0
    assert errors.count("mlbench: ") == errors.count("\n") <= 5
    assert not (tmp_path / ".mlbench").exists()


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk("512k") as project:
        yield project


def test_a_full_disk_keeps_nobody_from_ending_in_order(ended: Ended, disk: Path) -> None:
    script = f"""
import os
os.chdir({str(disk)!r})
mlbench.log(loss=1)
try:
    with open("filled", "wb", buffering=0) as file:
        while True: file.write(b"x")
except OSError:
    pass
for step in range(5000):
    mlbench.log(loss=step)
mlbench.log_params(a=1)
"""
    status, errors = ended(script)
    assert status == 0
    assert errors.count("mlbench: ") == errors.count("\n") == 2
    run = the_run(disk)
    assert run.outcome is RunOutcome.PASSED
    assert run.metrics["loss"] == 2046.0


def test_what_cannot_begin_leaves_nothing_and_begins_when_there_is_room(
    ended: Ended, disk: Path
) -> None:
    script = f"""
import os, mlbench.inside.scripts
mlbench.inside.scripts._RETRY_SECONDS = 0
os.chdir({str(disk)!r})
try:
    with open("filled", "wb", buffering=0) as file:
        while True: file.write(b"x" * 4096)
except OSError:
    pass
descriptors = os.listdir("/dev/fd")
for step in range(20):
    mlbench.log(loss=step)
assert os.listdir("/dev/fd") == descriptors
os.unlink("filled")
mlbench.log(loss=20)
"""
    status, errors = ended(script)
    assert (status, errors.count("\n")) == (0, 1), errors
    assert "can't begin a run here" in errors
    assert the_run(disk).metrics == {"loss": 20.0}
    assert len(list((disk / ".mlbench" / "runs").iterdir())) == 1


def test_a_process_without_a_free_descriptor_leaves_no_half_begun_runs(
    ended: Ended, tmp_path: Path
) -> None:
    script = f"""
import os, resource, mlbench.inside.scripts, mlbench.inside.ranks, mlbench.inside.artifacts
import fcntl, json, shutil
os.chdir({str(tmp_path)!r})
mlbench.inside.scripts._RETRY_SECONDS = 0
mlbench.inside.project.prepare(mlbench.inside.project.find_root(os.getcwd()))
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
for free in range(8):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 + free, limits[1]))
    mlbench.log(loss=free)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    print(*(os.listdir(".mlbench/runs") if os.path.exists(".mlbench/runs") else ()))
mlbench.log(loss=20)
"""
    status, errors = ended(script)
    assert status == 0, errors
    assert len(list((tmp_path / ".mlbench" / "runs").iterdir())) == 1
