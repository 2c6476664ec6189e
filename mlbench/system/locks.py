"""Locks that die with their holder: flock, never a file with a process id."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from mlbench.domain.errors import LocksNotWorkingError

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class FileLock:
    """An exclusive flock on a file that is made once and never replaced."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; False where somebody does."""
        return self._acquire(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def acquire(self) -> None:
        """Wait for the lock."""
        self._acquire(fcntl.LOCK_EX)

    def release(self) -> None:
        """Let the lock go, if it is held."""
        if self._descriptor is not None:
            # Not by closing alone: a child on its way to its own program shares the descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    @property
    def is_lost(self) -> bool:
        """Whether the file is gone or another, so that somebody else may hold the lock there."""
        if self._descriptor is None:
            return True
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return not os.path.samestat(found, os.fstat(self._descriptor))

    def _acquire(self, how: int) -> bool:
        try:
            self._descriptor = locked_descriptor(self._path, how)
        except BlockingIOError:
            return False
        return True


def locked_descriptor(path: Path, how: int = fcntl.LOCK_EX) -> int:
    """A new descriptor of a file that holds its flock, for this process or one that inherits it.

    BlockingIOError where `how` says not to wait and somebody has the lock; LocksNotWorkingError on
    file systems that have no locks, as some network mounts.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o644)
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCKS:
            raise LocksNotWorkingError(
                f"{path}: file locks don't work here ({error.strerror}), so two processes could "
                "spoil each other's work; move the project to a local disk"
            ) from None
        raise
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the flock of a file for a block."""
    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether some process holds the flock of a file, looked at without taking it for long."""
    if not path.exists():
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
