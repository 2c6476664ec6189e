"""Locks between processes: taken by one, free again when it ends in whatever way."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlbench.domain.errors import LocksNotWorkingError
from mlbench.system.locks import FileLock, is_held, locked

_HOLDER = """
import sys
from pathlib import Path
from mlbench.system.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


@contextmanager
def _holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is killed or its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_two_processes_never_both_hold_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    mine = FileLock(path)
    with _holder(path):
        assert is_held(path)
        assert not mine.try_acquire()
    assert mine.try_acquire()
    assert mine.held
    mine.release()


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as process:
        process.kill()
        process.wait()
        assert not is_held(path)
        with locked(path):
            assert is_held(path)
    assert not is_held(path)


def test_who_waits_gets_the_lock_when_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    got = threading.Event()

    def wait_for_it() -> None:
        with locked(path):
            got.set()

    with _holder(path) as process:
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        assert not got.is_set()
        process.kill()
        waiting.join()
    assert got.is_set()


def test_looking_at_a_lock_neither_makes_nor_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    assert not path.exists()
    lock = FileLock(path)
    lock.release()
    assert lock.try_acquire()
    lock.release()
    lock.release()
    assert not is_held(path)
    assert lock.try_acquire()
    lock.release()


def test_a_block_that_raises_lets_the_lock_go(tmp_path: Path) -> None:
    try:
        with locked(tmp_path / "lock"):
            raise KeyError
    except KeyError:
        pass
    assert not is_held(tmp_path / "lock")


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    assert lock.try_acquire()
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
    ) as child:
        lock.release()
        assert not is_held(path)
        child.kill()


def test_a_file_system_without_locks_is_named_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    # No file system of a test machine is without them.
    monkeypatch.setattr("mlbench.system.locks.fcntl.flock", no_locks)
    with pytest.raises(LocksNotWorkingError, match="file locks don't work here"):
        FileLock(tmp_path / "loop.lock").try_acquire()
