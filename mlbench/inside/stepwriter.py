"""The one writer of a process's step log: a point is safe from kill -9 once `add` has returned."""

from __future__ import annotations

import _thread
import mmap
import os
import time

from mlbench.inside.steplog import (
    BODY,
    BODY_OFFSET,
    KIND_OFFSET,
    NAMES_SUFFIX,
    POINT,
    PREFIX,
    RECORD,
    RECORDS_SUFFIX,
)

# Multiples of every system's mmap granularity (at most 64 KiB), for each chunk is mapped alone.
SMALLEST_CHUNK = 64 * 1024
LARGEST_CHUNK = 1024 * 1024

# Looked up once: whatever a point costs, every step of the user's loop pays for.
_SIZE, _pack_into = RECORD.size, BODY.pack_into

RETRY_SECONDS = 1.0
"""How long points are dropped after a failed write: on a full disk each try costs milliseconds."""


class StepWriter:
    """Appends points to this process's step log in a folder; files appear with the first point."""

    def __init__(self, folder: str) -> None:
        """Remember the folder; nothing is opened yet."""
        self.folder = folder
        self._next_steps: dict[str, int] = {}
        self._forget_threads()
        self._forget_files()

    def _forget_threads(self) -> None:
        self._lock = _thread.RLock()
        self._busy = False
        self._deferred: list[tuple[str, float, int | None, float]] = []

    def _forget_files(self) -> None:
        self._ids: dict[str, int] = {}
        self._names_end = 0
        self._descriptors: tuple[int, int] | None = None
        self._chunk: mmap.mmap | None = None
        self._position = self._limit = self._size = 0
        self._retry_at = 0.0

    @property
    def extent(self) -> int:
        """How many bytes of records this process has written: it grows with each point."""
        return self._size - self._limit + self._position

    def close(self) -> None:
        """Let the files go, without what they have in reserve; a later point starts new ones.

        Steps are counted on.
        """
        with self._lock:
            if self._busy:
                return  # a signal handler closes in the middle of a point
            descriptors, extent = self._descriptors, self.extent
            try:
                if descriptors is not None and self._chunk is not None:
                    # Nobody has the file mapped from here on.
                    self._chunk.close()
                    os.ftruncate(descriptors[1], extent)
            except OSError:
                return  # what is in reserve stays
            finally:
                self._let_go()

    def start_over_in_child(self) -> None:
        """After a fork: leave the files to the parent, and the lock, which its threads may hold."""
        self._forget_threads()
        self._let_go()

    def _let_go(self) -> None:
        for descriptor in self._descriptors or ():
            os.close(descriptor)
        if self._chunk is not None:
            self._chunk.close()
        self._forget_files()

    def add(self, name: str, value: float, step: int | None, at: float) -> None:
        """Append one point; without a step it gets the one after this name's last, from 0 on.

        OSError where the folder or disk doesn't take it, struct.error for a step beyond 64 bits.
        """
        with self._lock:
            if self._busy:
                # A signal handler logs in the middle of this very method: its outer call writes.
                self._deferred.append((name, value, step, at))
                return
            if self._retry_at and time.monotonic() < self._retry_at:
                return
            self._busy = True
            try:
                self._write(name, value, step, at)
                if self._deferred:
                    self._write_deferred()
                self._retry_at = 0.0
            except OSError:
                self._retry_at = time.monotonic() + RETRY_SECONDS
                raise
            finally:
                self._busy = False

    def _write_deferred(self) -> None:
        while self._deferred:
            self._write(*self._deferred.pop(0))

    def _write(self, name: str, value: float, step: int | None, at: float) -> None:
        name_id = self._ids.get(name)
        if name_id is None or self._position == self._limit:
            name = name.replace("\n", " ")
            self._make_room()
            name_id = self._id_of(name)
        if step is None:
            step = self._next_steps.get(name, 0)
        chunk, position = self._chunk, self._position
        assert chunk is not None
        _pack_into(chunk, position + BODY_OFFSET, name_id, step, value, at)
        chunk[position + KIND_OFFSET] = POINT
        self._position = position + _SIZE
        self._next_steps[name] = step + 1

    def _id_of(self, name: str) -> int:
        known = self._ids.get(name)
        if known is not None:
            return known
        assert self._descriptors is not None
        line = name.encode("utf-8", "backslashreplace") + b"\n"
        # At a remembered place: after a torn write the next one goes over what it left.
        _write_all(self._descriptors[0], line, self._names_end)
        self._names_end += len(line)
        self._ids[name] = len(self._ids)
        return self._ids[name]

    def _make_room(self) -> None:
        if self._descriptors is None:
            self._descriptors = _create_files(self.folder)
        if self._position < self._limit:
            return
        records = self._descriptors[1]
        if os.fstat(records).st_nlink == 0:
            self._let_go()
            raise FileNotFoundError(2, "the folder was removed", self.folder)
        length = min(max(self._size, SMALLEST_CHUNK), LARGEST_CHUNK)
        _allocate(records, self._size, length)
        self._chunk = mmap.mmap(records, length, offset=self._size)
        self._position, self._limit, self._size = 0, length, self._size + length


def _create_files(folder: str) -> tuple[int, int]:
    stem = os.path.join(folder, f"{PREFIX}{os.getpid()}-{time.time_ns()}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    # Names first: whoever sees the records finds them.
    names = os.open(stem + NAMES_SUFFIX, flags, 0o644)
    try:
        return names, os.open(stem + RECORDS_SUFFIX, flags, 0o644)
    except OSError:
        os.close(names)
        raise


def _allocate(descriptor: int, start: int, length: int) -> None:
    """Make this part of a file zeros with disk behind them, or raise OSError.

    A hole would do until the disk is full; then writing to its mapping is SIGBUS.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, start, length)
            return
        except OSError as error:
            import errno

            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
    _write_all(descriptor, bytes(length), start)


def _write_all(descriptor: int, data: bytes, start: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], start + written)
