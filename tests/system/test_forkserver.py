"""Supervisors are forked by a server that may be killed, and that dies with its loop."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlbench.system.forkclient import ForkServer
from mlbench.system.locks import is_held, locked_descriptor
from mlbench.system.processes import SupervisedStage

_ROOT = Path(__file__).parents[2]
_SERVE = (
    f"import sys; sys.path.append({str(_ROOT)!r}); "
    "from mlbench.system.forkserver import serve; serve()"
)


@pytest.fixture
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


class Home:
    """A folder with a lock, in which stages are started by hand."""

    def __init__(self, path: Path) -> None:
        self.folder, self.lock = path / "stage", path / "lock"
        self.folder.mkdir(parents=True)

    def arguments(self, *commands: str) -> list[str]:
        return [str(self.folder), str(self.folder), "", "5", "5", "0", *commands]

    def start(self, server: ForkServer, *commands: str) -> int | None:
        descriptor = locked_descriptor(self.lock)
        try:
            return server.start(self.arguments(*commands), os.environ, descriptor)
        finally:
            os.close(descriptor)

    def code(self) -> int:
        return SupervisedStage.adopt(self.folder, self.lock).wait().code


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_server_starts_one_stage_after_another(server: ForkServer, tmp_path: Path) -> None:
    server.warm()
    for code in (3, 4, 5):
        home = Home(tmp_path / str(code))
        assert home.start(server, f"exit {code}")
        assert home.code() == code


def test_threads_may_start_stages_at_once(server: ForkServer, tmp_path: Path) -> None:
    homes = [Home(tmp_path / str(code)) for code in range(12)]
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda i: homes[i].start(server, f"exit {i}"), range(12)))
        assert list(threads.map(Home.code, homes)) == list(range(12))


def test_a_stage_goes_on_without_its_server(server: ForkServer, tmp_path: Path, pipe: Any) -> None:
    home = Home(tmp_path / "first")
    os.symlink(pipe.path, home.folder / "pipe")
    home.start(server, "exec 9>pipe; mkfifo go; ps -o ppid= -p $PPID >&9; read line <go; exit 6")
    os.kill(int(pipe.line()), signal.SIGKILL)
    second = Home(tmp_path / "second")
    while second.start(server, "exit 7") is None:
        # The kill came while it was asked: that it never began is for who waits to find out.
        assert second.code() == -9
    assert second.code() == 7
    assert is_held(home.lock)
    (home.folder / "go").write_text("go\n")
    assert home.code() == 6


def test_a_request_that_was_cut_off_starts_nothing_and_frees_the_lock(home: Home) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen([sys.executable, "-I", "-c", _SERVE], stdin=theirs.fileno())
    with process, ours:
        descriptor = locked_descriptor(home.lock)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        words = [b"7", *(word.encode() for word in home.arguments("echo x >out"))]
        message = b"\0".join(words)
        ours.sendmsg([len(message).to_bytes(8, "little")], [rights])
        ours.sendall(message[:-1])
        os.close(descriptor)
        assert is_held(home.lock)
        ours.close()
        assert process.wait() == 0
    assert not is_held(home.lock)
    assert not list(home.folder.iterdir())


def test_a_server_ends_with_its_loop(home: Home, pipe: Any) -> None:
    text = (
        "import os, sys\n"
        "from mlbench.system.forkclient import ForkServer\n"
        "pipe = os.open(sys.argv[1], os.O_WRONLY)\n"
        "os.set_inheritable(pipe, True)\n"
        "ForkServer().warm()\n"
        "os.close(pipe)\n"
        "print('warm', flush=True)\n"
        "sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", text, str(pipe.path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as loop:
        assert loop.stdout is not None
        assert loop.stdout.readline() == b"warm\n"
        loop.kill()
    assert pipe.end() == ""


def test_a_fork_of_the_loop_has_a_server_of_its_own(server: ForkServer, tmp_path: Path) -> None:
    ours, forks = Home(tmp_path / "ours"), Home(tmp_path / "forks")
    assert ours.start(server, "exit 8")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            forks.start(server, "exit 9")
            server.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert forks.code() == 9
    assert ours.code() == 8
    assert ours.start(server, "exit 10")
    assert ours.code() == 10


def test_what_no_command_can_hold_is_refused(server: ForkServer, home: Home) -> None:
    with pytest.raises(OSError, match="NUL"):
        home.start(server, "echo \0")
    assert not is_held(home.lock)


def test_words_too_long_for_the_system_are_a_failure_that_is_said(
    server: ForkServer, home: Home
) -> None:
    assert home.start(server, "# " + 3_000_000 * "x")
    assert home.code() == 127
    assert "too long" in (home.folder / "log").read_text()


def test_the_lock_is_held_from_before_the_supervisor_is_ready(
    server: ForkServer, home: Home
) -> None:
    for _ in range(20):
        home.start(server, "true")
        descriptor = os.open(home.lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            assert (home.folder / "exit.json").exists()
        finally:
            os.close(descriptor)
        (home.folder / "exit.json").unlink()
