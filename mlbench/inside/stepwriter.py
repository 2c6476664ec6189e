"""The one writer of a process's step log: a point is safe from kill -9 once `add` has returned."""

from __future__ import annotations

import _thread
import mmap
import os
import sys
import time

from mlbench.inside.steplog import NAMES_SUFFIX, POINT, PREFIX, RECORD, RECORDS_SUFFIX

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    Point = tuple[str, float, int | None, float]
    """Name, value, step and wall time in seconds since the epoch."""

# Multiples of every system's mmap granularity (at most 64 KiB), for each chunk is mapped alone.
SMALLEST_CHUNK = 64 * 1024
LARGEST_CHUNK = 1024 * 1024

RETRY_SECONDS = 1.0
"""How long points are dropped after a failed write: on a full disk each try costs milliseconds."""

PAUSE_SECONDS = 0.0001
"""How long a thread waits for another to be through with a point before it tries again."""


class StepWriter:
    """Appends points to this process's step log in a folder; files appear with the first point.

    A generator refuses to be entered while it runs, in whichever thread that is: so the one that
    writes is the lock around its files too, at a fifth of the price of a lock.
    """

    def __init__(self, folder: str) -> None:
        """Remember the folder; nothing is opened yet."""
        self.folder = folder
        self._ids: dict[str, int] = {}
        self._next_steps: dict[str, int] = {}
        self._deferred: list[Point | None] = []
        self._restarting = _thread.RLock()
        self._start_writing()
        self._forget_files()

    def _start_writing(self) -> None:
        writing = self._write_as_sent()
        next(writing)
        self._send = writing.send

    def _forget_files(self) -> None:
        self._ids.clear()
        self._names_end = 0
        self._descriptors: tuple[int, int] | None = None
        self._chunk: mmap.mmap | None = None
        self._position = self._limit = self._size = 0
        self._retry_at = 0.0

    @property
    def extent(self) -> int:
        """How many bytes of records this process has written: it grows with each point."""
        return self._size - self._limit + self._position

    def add(self, name: str, value: float, step: int | None, at: float) -> None:
        """Append one point; without a step it gets the one after this name's last, from 0 on.

        OSError where the folder or disk doesn't take it, struct.error for a step beyond 64 bits.
        """
        point = name, value, step, at
        try:
            failure = self._send(point)
        except (ValueError, StopIteration):
            failure = self._send_in_turn(point)
        if self._deferred:
            self._send_deferred()
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Let the files go, without what they have in reserve; a later point starts new ones.

        Steps are counted on.
        """
        self._send_in_turn(None)
        self._send_deferred()

    def start_over_in_child(self) -> None:
        """After a fork: leave the files to the parent, and the points that its threads write."""
        self._deferred.clear()
        self._restarting = _thread.RLock()
        self._start_writing()
        self._let_go()

    def _send_in_turn(self, point: Point | None) -> Exception | None:
        """Send a point, or None to let the files go, when whoever is in the middle of one is done.

        A signal handler in the middle of this thread's own leaves its point to the outer call.
        """
        while True:
            send = self._send
            try:
                return send(point)
            except StopIteration:
                # An exception from a signal handler ended it in the middle of a point.
                with self._restarting:
                    if send is self._send:
                        self._start_writing()
            except ValueError:
                if self._is_interrupted():
                    self._deferred.append(point)
                    return None
                time.sleep(PAUSE_SECONDS)

    def _is_interrupted(self) -> bool:
        """Whether this call came in the middle of a point that its own thread is writing."""
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None

    def _send_deferred(self) -> None:
        if self._is_interrupted():
            return
        while self._deferred:
            self._send_in_turn(self._deferred.pop(0))

    def _write_as_sent(self) -> Generator[Exception | None, Point | None, None]:
        """Write each point that is sent, and yield what went wrong with it."""
        # Looked up once: whatever a point costs, every step of the user's loop pays for.
        ids, next_steps = self._ids, self._next_steps
        pack_into, size = RECORD.pack_into, RECORD.size
        self._frame: FrameType = sys._getframe()
        failure: Exception | None = None
        while True:
            point = yield failure
            failure = None
            try:
                if point is None:
                    self._end_files()
                    continue
                name, value, step, at = point
                name_id = ids.get(name)
                if name_id is None or self._position == self._limit:
                    name = name.replace("\n", " ")
                    name_id = self._prepare(name)
                    if name_id is None:
                        continue
                if step is None:
                    step = next_steps.get(name, 0)
                chunk, position = self._chunk, self._position
                assert chunk is not None
                pack_into(chunk, position, step, value, at, name_id, POINT)
                self._position = position + size
                next_steps[name] = step + 1
            except Exception as error:
                failure = error

    def _prepare(self, name: str) -> int | None:
        """Make room for a point, and give the name's id; None so soon after a failure."""
        if self._retry_at and time.monotonic() < self._retry_at:
            return None
        try:
            self._make_room()
            name_id = self._id_of(name)
        except OSError:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise
        self._retry_at = 0.0
        return name_id

    def _end_files(self) -> None:
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

    def _let_go(self) -> None:
        for descriptor in self._descriptors or ():
            os.close(descriptor)
        if self._chunk is not None:
            self._chunk.close()
        self._forget_files()

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
