"""The format in which a stage's processes write down what they see, and its writer.

A process writes `seen/<pid>-<start ns>-<n>.seen`, n = 0, 1, … as they fill up, records one after
the other: paths in UTF-8 (lone surrogates for bytes that are none), NUL between them, and at the
end a byte that UTF-8 never has, which says what was done with them. A file grows ahead of what is
written, with NUL, so that what a killed process leaves can be read up to its last whole record.
Relative paths are so to the last FOLDER or HELD before them, with which each file begins.
An empty file, or one whose last byte is LOST, says that something could not be written.
"""

from __future__ import annotations

import mmap
import os
import time
from itertools import count

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SEEN_FOLDER = "seen"
SUFFIX = ".seen"
PARAMS_VARIABLE = "MLBENCH_PARAMS_FILES"
"""Names the environment variable with the params files that a stage declares, absolute."""

READ = b"\xff"
WRITE = b"\xfe"
LISTING = b"\xfd"
LOADED = b"\xfc"
"""Files of modules, and libraries, that were loaded."""
PARAMS = b"\xfb"
"""`<size> <mtime ns> <ctime ns> <inode> <path>`: a declared params file as it was when opened."""
FOLDER = b"\xfa"
"""The process's working folder from here on."""
HELD = b"\xf9"
"""As FOLDER; and the process holds records back, so that all is there only once an END is."""
END = b"\xf8"
"""The process left in good order; the path says nothing."""
LOST = 0xF7

_SMALLEST_FILE = 64 * 1024
_LONG = 4 * 1024 * 1024


class SeenLog:
    """Where one process, and after a fork its child, writes records."""

    def __init__(self, folder: str) -> None:
        """Remember the folder; nothing is opened yet."""
        self.folder = folder
        self._files: list[mmap.mmap] = []
        self.start_over(HELD)

    def start_over(self, begin: bytes = FOLDER) -> None:
        """Go on in new files, and leave those so far to the parent."""
        self._begin = begin
        self._stem = f"{self.folder}/{os.getpid()}-{time.time_ns()}"
        self._numbers = count()
        self._size = 0
        self._file: mmap.mmap | None = None
        self.write: Callable[[bytes], Any] = self._write_anew
        """Appends a record in one step for all threads; ValueError where it doesn't fit."""

    @property
    def has_begun(self) -> bool:
        """Whether this process has a file."""
        return self._file is not None

    @property
    def is_long(self) -> bool:
        """Whether a process that writes so much is likely to repeat itself."""
        return self._size >= _LONG

    def put(self, record: bytes) -> None:
        """Append a record of any size; OSError where the disk or folder doesn't take it."""
        try:
            self.write(record)
        except ValueError:
            self._write_anew(record)

    def move(self) -> None:
        """Have the working folder, which is about to change, written before the next record."""
        if self._file is not None:
            self.write = self._write_moved

    def lose(self) -> None:
        """Say that something is missing, in a way that a full disk allows, and write no more."""
        self.write = len
        if self._files:
            self._files[-1][-1] = LOST
            return
        try:
            os.close(os.open(self._stem + SUFFIX, os.O_WRONLY | os.O_CREAT, 0o644))
        except OSError:
            return

    def _write_moved(self, record: bytes) -> None:
        file = self._file
        assert file is not None
        self.write = file.write
        file.write(_working_folder() + FOLDER)
        file.write(record)

    def _write_anew(self, record: bytes) -> None:
        begin = _working_folder() + self._begin
        size = max(2 * self._size, _SMALLEST_FILE)
        while size < len(begin) + len(record):
            size *= 2
        # Threads that come here together get a file each: `next` is one step for them all.
        file = _create(f"{self._stem}-{next(self._numbers)}{SUFFIX}", size)
        file.write(begin)
        file.write(record)
        # Never closed: a program that closes all descriptors may have given its number to another.
        self._files.append(file)
        self._begin, self._size = FOLDER, size
        self._file, self.write = file, file.write


def encoded(path: str) -> bytes:
    """A path as it stands in a record."""
    return path.encode("utf-8", "surrogatepass")


def _working_folder() -> bytes:
    try:
        return encoded(os.getcwd())
    except OSError:  # it was removed; what is relative to it can't be opened either
        return b""


def _create(path: str, size: int) -> mmap.mmap:
    """A new file of zeros with disk behind them: writing to a mapped hole may end in SIGBUS."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.pwrite(descriptor, bytes(size), 0)
        return mmap.mmap(descriptor, size)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)
