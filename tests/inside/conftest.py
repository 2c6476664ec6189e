"""Scripts that run as a user's do: in a process of their own, with the stage's PYTHONPATH."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mlbench
from tests.inside.script_runs import ALONE

ONPATH = Path(mlbench.__file__).parent / "inside" / "onpath"

Start = Callable[..., subprocess.Popen[str]]
Finish = Callable[..., subprocess.CompletedProcess[str]]
Ended = Callable[..., tuple[int, str]]


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    folder = tmp_path / "stage"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a script with its pipes; `stage` is the folder that it logs to, if any.

    Neither it nor its children outlive the test, so that a test that fails doesn't hang too.
    """
    started: list[subprocess.Popen[str]] = []

    def _start(
        script: str, stage: Path | None, python: tuple[str, ...] = (sys.executable,)
    ) -> subprocess.Popen[str]:
        path = os.environ.get("TEST_PYTHONPATH_REST")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ONPATH), path))),
            "TMPDIR": str(tmp_path),
        }
        environment.pop("MLBENCH_STAGE_DIR", None)
        if stage is not None:
            environment["MLBENCH_STAGE_DIR"] = str(stage)
        process = subprocess.Popen(
            [*python, "-c", textwrap.dedent(script)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield _start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def finish(start: Start) -> Finish:
    """Runs a script to its end, which must be a good one."""

    def _finish(
        script: str, stage: Path | None, python: tuple[str, ...] = (sys.executable,)
    ) -> subprocess.CompletedProcess[str]:
        process = start(script, stage, python)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return subprocess.CompletedProcess(process.args, 0, out, errors)

    return _finish


@pytest.fixture
def ended(start: Start) -> Ended:
    """Runs a script outside of any stage to whatever end it comes; its status and its errors."""

    def _ended(script: str, stage: Path | None = None) -> tuple[int, str]:
        process = start(ALONE + script, stage)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    return _ended
