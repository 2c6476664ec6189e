"""Processes are told apart by id and start, and a signal hits the one that is meant or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.system.proctable import (
    group_lives,
    lives,
    of_stage,
    rows_of_ps,
    send,
    start_time,
    table,
)
from mlbench.system.stopping import KILL_STEPS, gentle_steps, stop_in_turn

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that ends when it is told to."""
    words = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_process_lives_until_it_has_ended_reaped_or_not(other: subprocess.Popen[bytes]) -> None:
    start = start_time(other.pid)
    assert start is not None
    process = (other.pid, start)
    assert lives(process)
    assert group_lives(other.pid)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert not lives(process)
    assert not group_lives(other.pid)
    other.wait()
    assert not lives(process)
    assert not group_lives(other.pid)
    assert send(process, signal.SIGKILL)


def test_a_signal_is_for_one_process_not_for_its_id(other: subprocess.Popen[bytes]) -> None:
    start = start_time(other.pid)
    assert start is not None
    assert not lives((other.pid, start + "0"))
    assert send((other.pid, start + "0"), signal.SIGKILL)
    assert other.poll() is None
    assert send((other.pid, start), signal.SIGKILL)
    assert other.wait() == -signal.SIGKILL


def test_ps_tells_the_same_as_proc(other: subprocess.Popen[bytes]) -> None:
    for rows in (table(), rows_of_ps()):
        by_id = {pid: (parent, group, start) for pid, parent, group, start in rows}
        assert by_id[other.pid][:2] == (os.getpid(), other.pid)
        assert by_id[other.pid][2]
    again = {pid: start for pid, _, _, start in rows_of_ps()}
    assert again[other.pid] == by_id[other.pid][2]
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert other.pid not in {row[0] for rows in (table(), rows_of_ps()) for row in rows}


@needs_proc
def test_a_program_whose_name_looks_like_the_table_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "1000"]) as process:
        start = start_time(process.pid)
        assert start is not None
        assert start.isdecimal()
        assert lives((process.pid, start))
        process.kill()


@needs_proc
def test_a_stage_is_its_group_its_descendants_and_its_mark(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
    words = [sys.executable, "-I", "-S", "-c", code]

    def begin(folder: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            words,
            env={"MLBENCH_STAGE_DIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        return process

    folder = tmp_path / "stage"
    with begin(str(folder)) as marked, begin(f"{folder}2") as longer, begin("") as bare:
        assert {pid for pid, _ in of_stage(str(folder), None, None)} == {marked.pid}
        assert {pid for pid, _ in of_stage("/none", bare.pid, None)} == {bare.pid}
        assert {pid for pid, _ in of_stage("/none", None, os.getpid())} >= {
            marked.pid,
            longer.pid,
            bare.pid,
        }
        for process in (marked, longer, bare):
            process.kill()


def test_the_caller_and_its_ancestors_are_never_of_a_stage() -> None:
    spared = {os.getpid(), os.getppid()}
    found = of_stage("/none", os.getpgrp(), os.getppid())
    assert spared.isdisjoint(pid for pid, _ in found)


def test_who_answers_the_first_signal_gets_no_other(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def note(number, frame):\n"
        "    print(number, flush=True)\n"
        "    if number == int(sys.argv[1]): sys.exit()\n"
        "for number in (2, 15): signal.signal(number, note)\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()\n"
    )
    for last, expected in ((2, b"2\n"), (15, b"2\n15\n"), (0, b"2\n15\n")):
        words = [sys.executable, "-c", code, str(last)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            leader = (process.pid, start_time(process.pid) or "")
            find = lambda pid=process.pid: of_stage("/none", pid, None)  # noqa: E731
            assert stop_in_turn(find, leader, gentle_steps((0.3, 0.3)))
            assert process.stdout.read() == expected
            assert process.wait() == (0 if last else -signal.SIGKILL)


def test_where_there_is_nothing_to_stop_nothing_is_said_to_be_stopped() -> None:
    assert not stop_in_turn(list, None, KILL_STEPS)
