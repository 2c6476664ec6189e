"""The files of a request log: a worker appends to one of its own until that is full.

Whoever writes a segment holds its flock, so that the oldest others may go while it is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from mlbench.domain.records import dataclass
from mlbench.system.files import write_all
from mlbench.system.locks import locked

LARGEST_SEGMENT = 16_000_000
_SUFFIX = ".requests"
_LOCK = ".tidying"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a log may hold: bytes of all workers together, and the age of its oldest segment."""

    size: int
    seconds: float
    workers: int = 1

    @property
    def segment(self) -> int:
        """How long one segment may get: those being written take half of all at most."""
        return max(min(LARGEST_SEGMENT, self.size // (2 * max(self.workers, 1))), 1)


class SegmentWriter:
    """Appends blocks to segments of one worker, and lets old ones of all workers go."""

    def __init__(self, folder: Path, worker: int, bounds: Bounds) -> None:
        """Nothing is written until the first block comes."""
        self._folder = folder
        self._worker = worker
        self.bounds = bounds
        self._descriptor: int | None = None
        self._length = 0
        self._begun = 0.0

    def append(self, block: bytes) -> None:
        """Append a block as a whole; OSError where the disk is full, and nothing of it stays.

        A block that is longer than the log may be is refused as if the disk were full.
        """
        if len(block) > self.bounds.size // 2:
            raise OSError(27, "longer than the request log may be")
        if self._is_full(len(block)):
            self.close()
            self._begin(len(block))
        assert self._descriptor is not None
        try:
            write_all(self._descriptor, block)
        except OSError:
            # What a full disk took of it would stand between this block and the next.
            os.ftruncate(self._descriptor, self._length)
            os.lseek(self._descriptor, self._length, os.SEEK_SET)
            raise
        self._length += len(block)

    def tidy(self) -> None:
        """Let go what is too old, and end a segment before its oldest would be."""
        if self._descriptor is not None and self._is_old():
            self.close()
        self._let_go(0)

    def close(self) -> None:
        """End the segment that is written; the next block begins another."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_full(self, more: int) -> bool:
        if self._descriptor is None or self._is_old():
            return True
        return self._length > 0 and self._length + more > self.bounds.segment

    def _is_old(self) -> bool:
        return time.time() - self._begun > self.bounds.seconds / 8

    def _begin(self, first: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._let_go(max(self.bounds.segment, first))
        self._begun = time.time()
        name = f"{time.time_ns():020d}-{self._worker:02d}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        # What clients send is nobody else's to read.
        self._descriptor = os.open(self._folder / name, flags, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._length = 0

    def _let_go(self, room: int) -> None:
        """Remove the oldest segments that nobody writes until there is room for so many bytes."""
        if not self._folder.is_dir():
            return
        with locked(self._folder / _LOCK):
            resting, taken = _resting(self._folder, self.bounds.segment)
            taken += sum(size for _, size, _ in resting)
            eldest = time.time() - self.bounds.seconds
            for path, size, written in resting:
                if written < eldest or taken + room > self.bounds.size:
                    with contextlib.suppress(FileNotFoundError):
                        path.unlink()
                    taken -= size


def _resting(folder: Path, limit: int) -> tuple[list[tuple[Path, int, float]], int]:
    """Segments that nobody writes, oldest first: path, size, last write; and what others may take.

    One that is written counts by how long it may get.
    """
    resting: list[tuple[Path, int, float]] = []
    growing = 0
    for path in segments(folder):
        try:
            found = path.stat()
            is_written = _is_written(path)
        except OSError:
            continue
        if is_written:
            growing += max(found.st_size, limit)
        else:
            resting.append((path, found.st_size, found.st_mtime))
    return resting, growing


def _is_written(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def segments(folder: Path) -> list[Path]:
    """The segments of a log, oldest first."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
    except OSError:
        return []
    return [folder / name for name in names]


def worker_of(segment: Path) -> str:
    """Which worker wrote a segment."""
    return segment.name.removesuffix(_SUFFIX).rpartition("-")[2]
