"""Stages outlive whoever started them, and nothing outlives a supervisor that was killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.system.files import read_json, write_json
from mlbench.system.locks import is_held, locked
from mlbench.system.processes import EXIT_NAME, SupervisedStage, stop_leftover
from mlbench.system.proctable import lives, send

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

_STARTER = """
import os, sys
from pathlib import Path
from mlbench.system.processes import SupervisedStage
home = Path(sys.argv[1])
stage = SupervisedStage(
    tuple(sys.argv[2:]), cwd=home, env=os.environ, folder=home / "stage", lock=home / "lock"
)
print(stage.pid, flush=True)
stage.wait()
"""
# Tells its id through the pipe and goes on when it is told to.
_PAUSE = "exec 9>pipe; [ -p go ] || mkfifo go; echo $$ >&9; read line <go; echo went on; exit 4"
_GRACE = (0.3, 0.3)


@contextlib.contextmanager
def _starter(home: Path, *commands: str) -> Iterator[subprocess.Popen[str]]:
    """A process that starts a stage and waits for it, as the loop does."""
    (home / "stage").mkdir(exist_ok=True)
    words = [sys.executable, "-c", _STARTER, str(home), *commands]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def _adopted(home: Path) -> SupervisedStage:
    return SupervisedStage.adopt(home / "stage", home / "lock", grace=_GRACE)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stage_goes_on_without_its_starter_and_can_be_adopted(
    pipe: Any, tmp_path: Path, number: int
) -> None:
    with _starter(tmp_path, _PAUSE) as starter:
        pipe.line()
        starter.send_signal(number)
        starter.wait()
    assert is_held(tmp_path / "lock")
    (tmp_path / "go").write_text("go\n")
    ending = _adopted(tmp_path).wait()
    assert (ending.code, ending.stopped) == (4, False)
    assert (tmp_path / "stage" / "log").read_text() == "went on\n"


def test_an_exit_that_nobody_saw_is_read_later(pipe: Any, tmp_path: Path) -> None:
    with _starter(tmp_path, _PAUSE) as starter:
        pipe.line()
        starter.kill()
    (tmp_path / "go").write_text("go\n")
    assert pipe.end() == ""
    with locked(tmp_path / "lock"):
        assert read_json(tmp_path / "stage" / EXIT_NAME)["code"] == 4
    assert _adopted(tmp_path).wait().code == 4


def test_an_adopted_stage_can_be_stopped(pipe: Any, tmp_path: Path) -> None:
    with _starter(tmp_path, _PAUSE) as starter:
        pipe.line()
        starter.kill()
    stage = _adopted(tmp_path)
    stage.stop()
    assert stage.wait().stopped
    assert pipe.end() == ""


def test_a_stop_that_comes_before_the_supervisor_is_ready_counts(start: Any) -> None:
    for _ in range(5):
        stage = start("sleep 1000")
        SupervisedStage.adopt(stage.folder, stage.lock).stop()
        assert stage.wait().stopped


def test_who_is_adopted_is_known_by_its_supervisors_id(start: Any, pipe: Any) -> None:
    stage = start(_PAUSE)
    pipe.line()
    assert SupervisedStage.adopt(stage.folder, stage.lock).pid == stage.pid


def test_what_was_never_started_has_no_id_and_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    stage = _adopted(tmp_path)
    with pytest.raises(ProcessLookupError):
        _ = stage.pid
    stage.stop()
    ending = stage.wait()
    assert (ending.command, ending.succeeded) == ("supervisor", False)


def test_the_record_names_supervisor_and_group_with_their_start(
    start: Any, pipe: Any, tmp_path: Path
) -> None:
    stage = start(_PAUSE)
    group = int(pipe.line())
    (tmp_path / "go").write_text("go\n")
    record = json.loads((tmp_path / "stage" / "process.json").read_bytes())
    assert (record["supervisor"][0], record["group"][0]) == (stage.pid, group)
    stage.wait()
    assert not lives(tuple(record["group"]))


_LEFT = [
    _PAUSE,
    "exec 9>pipe; trap '' INT TERM; echo $$ >&9; while :; do sleep 1000; done",
    "exec 9>pipe; (trap '' INT TERM; sleep 1000) & sleep 1000 & echo $$ >&9; wait",
    pytest.param("exec 9>pipe; setsid sleep 1000 & echo $$ >&9; wait", marks=needs_proc),
]


@pytest.mark.parametrize("command", _LEFT)
def test_a_supervisor_that_was_killed_is_a_failure_and_leaves_nothing(
    start: Any, pipe: Any, command: str
) -> None:
    stage = start(command, grace=_GRACE)
    pipe.line()
    os.kill(stage.pid, signal.SIGKILL)
    ending = stage.wait()
    assert (ending.command, ending.succeeded) == ("supervisor", False)
    assert pipe.end() == ""
    assert not stop_leftover(stage.folder)


@pytest.mark.parametrize("command", _LEFT)
def test_who_adopts_after_both_were_killed_leaves_nothing(
    pipe: Any, tmp_path: Path, command: str
) -> None:
    with _starter(tmp_path, command) as starter:
        pipe.line()
        os.kill(_adopted(tmp_path).pid, signal.SIGKILL)
        starter.kill()
    assert _adopted(tmp_path).wait().command == "supervisor"
    assert pipe.end() == ""


@needs_proc
def test_the_mark_finds_what_its_groups_leader_left(start: Any, pipe: Any) -> None:
    stage = start("exec 9>pipe; sleep 1000 & echo $$ >&9; sleep 1000")
    leader = int(pipe.line())
    os.kill(stage.pid, signal.SIGKILL)
    os.kill(leader, signal.SIGKILL)
    assert stage.wait().command == "supervisor"
    assert pipe.end() == ""


def test_a_process_that_only_has_the_recorded_id_is_not_hit(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    folder.mkdir()
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as other:
        record = {"supervisor": [other.pid, "1"], "group": [other.pid, "1"]}
        write_json(folder / "process.json", record)
        assert not stop_leftover(folder, grace=_GRACE)
        SupervisedStage.adopt(folder, tmp_path / "lock").stop()
        assert other.poll() is None
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait() == 0


def test_who_stops_a_leftover_from_inside_it_lives(start: Any, script: Any, pipe: Any) -> None:
    text = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "sys.path[:0] = sys.argv[1:]\n"
        "from mlbench.system.processes import stop_leftover\n"
        "sys.exit(17 + stop_leftover(Path(os.environ['MLBENCH_STAGE_DIR'])))\n"
    )
    root = Path(__file__).parents[2]
    assert start(f"{script(text)} {root}").wait().code == 17


@pytest.mark.parametrize("round_", range(20))
def test_kills_at_random_moments_leave_an_ending_and_nothing_alive(
    pipe: Any, tmp_path: Path, round_: int
) -> None:
    dice = random.Random(round_)
    victims = dice.choice(["starter", "supervisor", "stage", "supervisor stage"]).split()
    command = "exec 9>pipe; echo $$ >&9; sleep 0.02; sleep 0.01 & sleep 0.02; wait; exit 4"
    with _starter(tmp_path, command) as starter:
        assert starter.stdout is not None
        supervisor = int(starter.stdout.readline())
        # The moment is the point: from before the command's start to after its end.
        time.sleep(dice.uniform(0, 0.08))
        group = (read_json(tmp_path / "stage" / "process.json") or {}).get("group")
        for victim in victims:
            if victim == "starter":
                starter.kill()
            elif victim == "supervisor":
                # It may have ended, and its starter may have reaped it.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(supervisor, signal.SIGKILL)
            elif group:
                send((group[0], group[1]), signal.SIGKILL)
        ending = _adopted(tmp_path).wait()
    assert not is_held(tmp_path / "lock")
    pipe.end()
    possible = {
        "starter": {(4, command)},
        "supervisor": {(4, command), (-9, "supervisor")},
        "stage": {(4, command), (-9, command), (-9, "supervisor")},
    }
    assert (ending.code, ending.command) in set.union(*(possible[victim] for victim in victims))
    assert not stop_leftover(tmp_path / "stage")
