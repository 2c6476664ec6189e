"""Optuna's journal file, so that a process killed at any moment leaves one that opens again.

The format is Optuna's own (`optuna.storages.journal`): a line of JSON for each operation. Its
backend keeps a symlink as its lock, which outlives whoever is killed with it, and does not read a
journal whose last line is torn.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation

from mlbench.domain.errors import SweepError
from mlbench.system.locks import locked_descriptor


class OneWriterBackend(JournalFileBackend):
    """Optuna's file backend for the one process that owns a study; others may read meanwhile."""

    def __init__(self, path: Path) -> None:
        """Make the file if there is none."""
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations in one piece; they are on the disk once a trial's state is written."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _write_whole(descriptor, text.encode())
            # What a state stands on was written before it, and is made durable with it.
            if any(log["op_code"] == JournalOperation.SET_TRIAL_STATE_VALUES for log in logs):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_storage(path: Path) -> JournalStorage:
    """A journal's storage; one that is torn at its end is mended first.

    SweepError where the journal is damaged elsewhere.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mend(path)
    try:
        return JournalStorage(OneWriterBackend(path))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> SweepError:
    """What to say of a damaged journal, by what Optuna raised."""
    return SweepError(
        f"{path}: Optuna can't read it ({error or type(error).__name__}); `mlbench sweep` "
        "with `--restart` begins a new study"
    )


def mend(path: Path) -> int:
    """Cut away a last line that is no whole JSON; gives the number of bytes that were cut."""
    if not path.exists():
        return 0
    descriptor = locked_descriptor(path)
    try:
        size = os.fstat(descriptor).st_size
        tail = _last_line(descriptor, size)
        if not tail:
            return 0
        if not _is_operation(tail):
            os.ftruncate(descriptor, size - len(tail))
            return len(tail)
        if not tail.endswith(b"\n"):
            os.pwrite(descriptor, b"\n", size)
        return 0
    finally:
        os.close(descriptor)


def _last_line(descriptor: int, size: int) -> bytes:
    """The last line with its end, as far as it has one."""
    block, tail = 4096, b""
    while len(tail) < size:
        start = max(0, size - len(tail) - block)
        tail = os.pread(descriptor, size - len(tail) - start, start) + tail
        end = tail.rfind(b"\n", 0, len(tail) - 1)
        if end >= 0:
            return tail[end + 1 :]
    return tail


def _is_operation(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _write_whole(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
