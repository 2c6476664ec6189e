"""Scoring again that is interrupted, killed, or done by two at once leaves nothing running."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlbench.domain.commands import RunStages
from mlbench.domain.release import GateResult
from mlbench.project.layout import Layout
from mlbench.system.locks import is_held
from tests.engine.scored import FOR_6, Judge
from tests.support import until


def start_judging(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlbench", "gates"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def hanging(judge: Judge) -> Judge:
    """Production has to be scored, by a stage that hangs in the snapshot while `hang` is there."""
    judge.project.write("data.txt", FOR_6)
    judge.run()
    judge.layout.scores.unlink()
    shutil.rmtree(judge.layout.snapshots)
    judge.project.write("hang", "")
    return judge


def snapshot(judge: Judge, number: int = 1) -> Path:
    return judge.layout.snapshots / f"score-{number}"


def is_running(judge: Judge, number: int = 1) -> bool:
    locks = Layout(snapshot(judge, number) / "tree").state / "locks"
    return any(is_held(path) for path in locks.glob("*.lock"))


def test_ctrl_c_stops_what_it_started(hanging: Judge) -> None:
    process = start_judging(hanging.project.root)
    until((snapshot(hanging) / "tree/hanging").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not is_running(hanging)
    assert not is_held(snapshot(hanging) / "lock")
    assert not hanging.layout.scores.exists()


def test_what_a_killed_one_left_running_is_stopped_by_the_next(hanging: Judge) -> None:
    process = start_judging(hanging.project.root)
    until((snapshot(hanging) / "tree/hanging").exists)
    process.kill()
    process.communicate()
    assert is_running(hanging)
    (hanging.project.root / "hang").unlink()
    (result,) = hanging.judge()
    assert result.threshold == 0.6
    assert not is_running(hanging)
    assert not snapshot(hanging, 2).exists()


def test_two_at_once_have_a_snapshot_each(hanging: Judge) -> None:
    process = start_judging(hanging.project.root)
    until((snapshot(hanging) / "tree/hanging").exists)
    (hanging.project.root / "hang").unlink()
    (result,) = hanging.judge()
    assert result.threshold == 0.6
    assert snapshot(hanging, 2).exists()
    (snapshot(hanging) / "tree/hang").unlink()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"production v1 was scored again" in out


def test_the_end_of_the_loop_stops_it(hanging: Judge) -> None:
    ending = threading.Event()
    results: list[GateResult] = []
    thread = threading.Thread(target=lambda: results.extend(hanging.judge(ending=ending)))
    thread.start()
    until((snapshot(hanging) / "tree/hanging").exists)
    ending.set()
    thread.join(60)
    assert results[0].passed is False
    assert "can't be scored on today's evaluation data" in results[0].why
    assert not is_running(hanging)


def test_closing_the_loop_stops_it_too(hanging: Judge) -> None:
    hanging.follower.session.send(RunStages())
    until((snapshot(hanging) / "tree/hanging").exists)
    hanging.follower.session.close()
    assert not is_running(hanging)
    assert not hanging.layout.scores.exists()
