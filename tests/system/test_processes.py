"""A stage under its supervisor: its log, its end, and that nothing outlives what it should not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Script = Callable[[str], str]

# Opens the pipe for as long as the process lives, tells its name and waits to be stopped.
_WAIT = """
import os, signal, sys
pipe = open("pipe", "w", buffering=1)
{handlers}
print("ready", file=pipe)
while True:
    signal.pause()
"""


def _log(tmp_path: Path) -> str:
    return (tmp_path / "stage" / "log").read_text()


def test_standard_output_and_error_are_one_log_in_the_order_written(
    start: Any, tmp_path: Path
) -> None:
    command = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done"
    assert start(command).wait().succeeded
    assert _log(tmp_path).split("\n")[:-1] == [
        f"{stream} {i}" for i in range(1, 6) for stream in ("out", "err")
    ]


def test_the_exit_status_and_the_command_are_kept(start: Any) -> None:
    ending = start("exit 3").wait()
    assert (ending.code, ending.command) == (3, "exit 3")
    assert (ending.succeeded, ending.stopped, ending.timed_out) == (False, False, False)


def test_a_signal_is_a_negative_code(start: Any) -> None:
    assert start("kill -SEGV $$").wait().code == -signal.SIGSEGV


def test_several_commands_stop_at_the_first_that_fails(start: Any, tmp_path: Path) -> None:
    ending = start("echo one", "echo two; exit 4", "echo three").wait()
    assert _log(tmp_path) == "one\ntwo\n"
    assert (ending.code, ending.command) == (4, "echo two; exit 4")


def test_what_a_stage_used_is_measured(start: Any, script: Script) -> None:
    command = script("x = bytearray(80_000_000)\nsum(range(2_000_000))\n")
    ending = start(command).wait()
    assert ending.peak_memory > 80_000_000
    assert ending.cpu_seconds > 0
    assert ending.seconds > 0


def test_a_stage_reads_nothing_from_its_standard_input(start: Any, tmp_path: Path) -> None:
    assert start("cat; echo read").wait().succeeded
    assert _log(tmp_path) == "read\n"


@pytest.mark.parametrize("command", ["no-such-program --x", "/bin/no-such-shell -c true"])
def test_a_command_that_is_not_there_is_127(start: Any, tmp_path: Path, command: str) -> None:
    ending = start(command).wait()
    assert ending.code == 127
    assert command.split(maxsplit=1)[0] in _log(tmp_path)


def test_a_folder_that_is_not_there_is_127_and_said(start: Any, tmp_path: Path) -> None:
    assert start("true", cwd=tmp_path / "gone").wait().code == 127
    assert "No such file or directory" in _log(tmp_path)


def test_stop_begins_with_an_interrupt_that_a_script_may_answer(
    start: Any, script: Script, pipe: Any, tmp_path: Path
) -> None:
    handlers = (
        "def leave(number, frame):\n"
        "    print('signal', number, flush=True)\n"
        "    sys.exit(0)\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(number, leave)\n"
    )
    stage = start(script(_WAIT.format(handlers=handlers)))
    assert pipe.line() == "ready"
    stage.stop()
    ending = stage.wait()
    assert _log(tmp_path) == f"signal {signal.SIGINT.value}\n"
    assert ending.stopped
    assert not ending.succeeded


def test_who_ignores_the_interrupt_is_terminated_and_then_killed(
    start: Any, script: Script, pipe: Any, tmp_path: Path
) -> None:
    handlers = (
        "def tell(number, frame):\n"
        "    print('signal', number, flush=True)\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(number, tell)\n"
    )
    stage = start(script(_WAIT.format(handlers=handlers)), grace=(0.2, 0.2))
    assert pipe.line() == "ready"
    stage.stop()
    ending = stage.wait()
    assert _log(tmp_path) == f"signal {signal.SIGINT.value}\nsignal {signal.SIGTERM.value}\n"
    assert ending.code == -signal.SIGKILL
    assert ending.stopped
    assert pipe.end() == ""


def test_a_shells_child_has_time_to_leave_in_its_own_way(
    start: Any, script: Script, pipe: Any, tmp_path: Path
) -> None:
    handlers = (
        "def leave(number, frame):\n"
        "    print(*range(20_000), flush=True)\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGINT, leave)\n"
    )
    python = script(_WAIT.format(handlers=handlers)).removeprefix("exec ")
    stage = start(f"{python}; true")
    assert pipe.line() == "ready"
    stage.stop()
    assert stage.wait().stopped
    assert _log(tmp_path).endswith(" 19999\n")


def test_stop_before_the_first_command_has_begun_stops_it(start: Any, tmp_path: Path) -> None:
    stage = start("sleep 1000", "echo never")
    stage.stop()
    assert stage.wait().stopped
    assert "never" not in _log(tmp_path)


def test_a_stopped_stage_starts_no_further_command(start: Any, pipe: Any, tmp_path: Path) -> None:
    stage = start(
        "trap 'exit 0' INT; exec 9>pipe; echo ready >&9; sleep 1000 & wait", "echo second"
    )
    assert pipe.line() == "ready"
    stage.stop()
    assert stage.wait().stopped
    assert "second" not in _log(tmp_path)


def test_a_timeout_stops_a_stage_and_says_so(start: Any, pipe: Any) -> None:
    ending = start("exec 9>pipe; sleep 1000", timeout=0.3).wait()
    assert ending.timed_out
    assert (ending.stopped, ending.succeeded) == (False, False)
    assert pipe.end() == ""


def test_the_timeout_is_for_all_commands_together(start: Any) -> None:
    ending = start("sleep 0.2", "sleep 0.2", "sleep 1000", timeout=0.7).wait()
    assert ending.timed_out
    assert ending.command == "sleep 1000"


_GRANDCHILDREN = (
    "exec 9>pipe; (trap '' INT TERM; sleep 1000) & (sleep 1000) & echo ready >&9; {end}"
)


def test_grandchildren_end_with_a_stopped_stage(start: Any, pipe: Any) -> None:
    stage = start(_GRANDCHILDREN.format(end="wait"), grace=(0.3, 0.3))
    assert pipe.line() == "ready"
    stage.stop()
    assert stage.wait().stopped
    assert pipe.end() == ""


def test_grandchildren_end_with_a_stage_that_failed(start: Any, pipe: Any) -> None:
    assert start(_GRANDCHILDREN.format(end="exit 1")).wait().code == 1
    assert pipe.line() == "ready"
    assert pipe.end() == ""


_HOLDER = """
import os, sys
from pathlib import Path
from mlbench.system.processes import SupervisedStage
stage = SupervisedStage(
    (sys.argv[2],), cwd=Path(sys.argv[1]), env=dict(os.environ),
    folder=Path(sys.argv[1]) / "stage", lock=Path(sys.argv[1]) / "lock", grace=(0.3, 0.3),
)
stage.wait()
"""


@pytest.mark.parametrize(
    "command",
    [
        "exec 9>pipe; echo ready >&9; sleep 1000",
        "exec 9>pipe; trap '' INT TERM; echo ready >&9; while :; do sleep 1000; done",
        _GRANDCHILDREN.format(end="wait"),
    ],
)
def test_when_the_holder_is_killed_nothing_is_left(pipe: Any, tmp_path: Path, command: str) -> None:
    (tmp_path / "stage").mkdir()
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path), command]) as holder:
        assert pipe.line() == "ready"
        holder.kill()
    assert holder.returncode == -signal.SIGKILL
    assert pipe.end() == ""


def test_a_supervisor_that_was_killed_is_a_failure(start: Any, pipe: Any) -> None:
    stage = start("exec 9>pipe; echo $$ >&9; sleep 1000")
    group = int(pipe.line())
    os.kill(stage.pid, signal.SIGKILL)
    ending = stage.wait()
    assert not ending.succeeded
    assert ending.command == "supervisor"
    os.killpg(group, signal.SIGKILL)
    assert pipe.end() == ""


def test_stop_after_the_end_is_no_error(start: Any) -> None:
    stage = start("true")
    assert stage.wait().succeeded
    stage.stop()
    assert stage.wait().succeeded
