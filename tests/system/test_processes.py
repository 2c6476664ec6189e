"""A stage under its supervisor: its commands, its end, and that nothing outlives a stop."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlbench.system.locks import is_held
from mlbench.system.processes import SupervisedStage

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


def test_a_stop_that_comes_while_a_shell_starts_a_program_is_not_lost(start: Any) -> None:
    dice = random.Random(7)
    for _ in range(25):
        stage = start("sleep 1000")
        # Some shells, dash for one, lose a signal in this millisecond; so the moment is the point.
        time.sleep(dice.uniform(0, 0.006))
        stage.stop()
        ending = stage.wait()
        assert ending.stopped
        assert ending.code in (0, -signal.SIGINT)


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


def test_stop_after_the_end_is_no_error(start: Any) -> None:
    stage = start("true")
    assert stage.wait().succeeded
    stage.stop()
    assert stage.wait().succeeded


def test_a_second_start_in_a_folder_appends_to_the_log_and_forgets_the_first(
    start: Any, tmp_path: Path
) -> None:
    first = start("echo first; exit 3")
    assert first.wait().code == 3
    first.stop()
    assert start("echo second").wait().succeeded
    assert _log(tmp_path) == "first\nsecond\n"


def test_launch_stands_before_each_command_word_for_word(start: Any, tmp_path: Path) -> None:
    command = """printf '%s|' "$A" 'it is "quoted"' "$0" """
    assert start(command, command, launch=("env", "A=a b $HOME")).wait().succeeded
    assert _log(tmp_path) == 2 * """a b $HOME|it is "quoted"|/bin/sh|"""


def test_a_launcher_that_is_not_there_is_127_and_said(start: Any, tmp_path: Path) -> None:
    assert start("true", launch=("no-such-launcher", "--gpus=1")).wait().code == 127
    assert "no-such-launcher" in _log(tmp_path)


def test_what_a_command_left_running_in_its_group_is_waited_for(
    start: Any, pipe: Any, tmp_path: Path
) -> None:
    stage = start("exec 9>pipe; mkfifo go; (read line <go; echo written) & echo left >&9")
    assert pipe.line() == "left"
    assert is_held(tmp_path / "lock")
    (tmp_path / "go").write_text("go\n")
    assert stage.wait().succeeded
    assert _log(tmp_path) == "written\n"


def test_what_a_command_left_running_in_its_group_is_stopped_with_its_stage(
    start: Any, pipe: Any
) -> None:
    stage = start("exec 9>pipe; sleep 1000 & echo left >&9")
    assert pipe.line() == "left"
    stage.stop()
    assert stage.wait().stopped
    assert pipe.end() == ""


def test_a_timeout_also_ends_what_a_command_left_running(start: Any, pipe: Any) -> None:
    assert start("exec 9>pipe; sleep 1000 & true", timeout=0.3).wait().timed_out
    assert pipe.end() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_supervisor_stops_the_stage(
    start: Any, pipe: Any, number: signal.Signals
) -> None:
    stage = start("exec 9>pipe; echo ready >&9; sleep 1000")
    assert pipe.line() == "ready"
    os.kill(stage.pid, number)
    assert stage.wait().stopped
    assert pipe.end() == ""


def test_a_hang_up_does_not(start: Any, pipe: Any, tmp_path: Path) -> None:
    stage = start("exec 9>pipe; mkfifo go; echo ready >&9; read line <go")
    assert pipe.line() == "ready"
    os.kill(stage.pid, signal.SIGHUP)
    (tmp_path / "go").write_text("go\n")
    assert stage.wait().succeeded


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    "escape", ["setsid", "setsid env -i", "setsid --fork", "setsid setsid --fork"]
)
def test_a_grandchild_in_a_session_of_its_own_ends_with_a_stopped_stage(
    start: Any, pipe: Any, escape: str
) -> None:
    stage = start(f"exec 9>pipe; {escape} sh -c 'echo ready >&9; sleep 1000' & wait; sleep 1000")
    assert pipe.line() == "ready"
    stage.stop()
    assert stage.wait().stopped
    assert pipe.end() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_grandchild_in_a_session_of_its_own_ends_with_a_stage_that_failed(
    start: Any, pipe: Any
) -> None:
    command = "exec 9>pipe; mkfifo go; setsid sh -c 'echo >go; sleep 1000' & read line <go; exit 5"
    assert start(command).wait().code == 5
    assert pipe.end() == ""


def test_a_stage_sees_no_ignored_signals_and_no_descriptors_of_the_loop(
    start: Any, script: Script, tmp_path: Path
) -> None:
    leaked, other = os.pipe()
    os.set_inheritable(leaked, True)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    text = (
        "import os, signal\n"
        "print([n for n in (2, 3, 15) if signal.getsignal(n) == signal.SIG_IGN],\n"
        "      signal.pthread_sigmask(signal.SIG_BLOCK, ()), len(os.listdir('/dev/fd')))\n"
    )
    try:
        assert start(script(text)).wait().succeeded
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(leaked)
        os.close(other)
    # The fourth is the listing's own.
    assert _log(tmp_path) == "[] set() 4\n"


def test_words_of_any_kind_come_back_from_the_exit(start: Any) -> None:
    for command in ('# "quoted" \\ back', "# tab\tand\nline", "# größer 漢字 🦦", "# \x01 \x7f"):
        assert start(command).wait().command == command
    assert start(os.fsdecode(b"# not UTF-8: \xff")).wait().command == os.fsdecode(
        b"# not UTF-8: \xff"
    )


def test_any_number_may_wait_for_one_stage(start: Any, pipe: Any, tmp_path: Path) -> None:
    stage = start("exec 9>pipe; mkfifo go; echo ready >&9; read line <go; exit 7")
    assert pipe.line() == "ready"
    others = [SupervisedStage.adopt(tmp_path / "stage", tmp_path / "lock") for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        waits = [threads.submit(each.wait) for each in (stage, stage, *others)]
        (tmp_path / "go").write_text("go\n")
        assert {wait.result().code for wait in waits} == {7}
    assert not is_held(tmp_path / "lock")
