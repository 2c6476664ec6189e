"""TinyDB's storage on a snapshot and a journal, for many processes at once.

A write is one appended, synced record under a file lock; nothing is ever rewritten in place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinydb.storages import Storage

from mlbench.domain.errors import FolderNotWritableError, RecordNotWrittenError
from mlbench.system.files import sync_folder, write_all
from mlbench.system.locks import FileLock, locked
from mlbench.tracking.database.changes import (
    DROP,
    INSERT,
    JOURNAL,
    MAKE,
    REMOVE,
    UPDATE,
    Change,
    bodies,
)
from mlbench.tracking.database.checkpoint import clean_up, install, seal
from mlbench.tracking.database.current import Current
from mlbench.tracking.database.documents import decode, encode
from mlbench.tracking.database.paths import Paths
from mlbench.tracking.database.records import framed
from mlbench.tracking.database.tables import Lines
from mlbench.tracking.database.writing import sync_data, write_snapshot

# The journal may grow to an eighth of the snapshot: then what a checkpoint writes is at most
# eight times what was written anyway, and opening replays little.
LEAST_GROWTH = 1 << 20
_SHARE = 8
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class JournaledStorage(Storage):
    """The files of one database; threads may share it."""

    def __init__(self, path: Path | str) -> None:
        """Name the snapshot; nothing is written before the first change."""
        self.paths = Paths(Path(path))
        self._current = Current(self.paths)
        self._lock = FileLock(self.paths.lock)
        # Who writes holds both, the file's lock between them, so that readers never wait for it.
        self._writers = threading.RLock()
        self._looking = threading.RLock()
        self._depth = 0
        self._closed = False
        self._has_written = False
        self._background: threading.Thread | None = None

    @property
    def damages(self) -> tuple[str, ...]:
        """What was found damaged or foreign so far: where it lies and what it cost."""
        if not self._closed:
            with self.looking():
                pass
        return tuple(self._current.damages)

    @contextlib.contextmanager
    def looking(self) -> Iterator[Current]:
        """What the files say now, which doesn't change under the block."""
        self._refuse_closed()
        with self._looking:
            self._current.catch_up()
            yield self._current

    @contextlib.contextmanager
    def writing(self) -> Iterator[Current]:
        """The same with the right to `commit`; blocks nest, in one thread."""
        self._refuse_closed()
        self._begin()
        while self._current.foreign and self._depth == 1:
            # Another program's content becomes ours first. A checkpoint begins with a lock of its
            # own, so that these must be free.
            self._end()
            self.checkpoint()
            self._begin()
        try:
            yield self._current
        finally:
            self._end()
        self._checkpoint_when_grown()

    def lines(self, table: str) -> Lines:
        """The documents of a table as of now."""
        with self.looking() as current:
            found = current.tables.get(table)
            return found.lines() if found is not None else Lines(None, {}, 1)

    def commit(self, changes: Sequence[Change]) -> None:
        """Write changes that count together or not at all, within `writing`.

        RecordNotWrittenError where the disk is full, FolderNotWritableError where it refuses.
        """
        current = self._current
        with self._looking:
            current.catch_up()
            header = [] if current.journal and current.journal.applied else [self._header()]
            start = current.journal.applied if current.journal else 0
        data = b"".join(framed(body) for part in (header, changes) for body in bodies(part))
        with self._sentences():
            _append(self.paths.journal, start, data)
        self._has_written = True
        with self._looking:
            current.catch_up()

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Every table with every document, as TinyDB's own Table wants them."""
        with self.looking() as current:
            tables = {name: table.lines() for name, table in current.tables.items()}
        content = {
            name: {str(number): decode(line) for number, line in lines.items()}
            for name, lines in tables.items()
        }
        return content or None

    def write(self, data: Mapping[str, Mapping[Any, Mapping[str, Any]]]) -> None:
        """Make the database hold exactly this; only what differs is written."""
        wanted = {
            name: {int(number): encode(document) for number, document in table.items()}
            for name, table in data.items()
        }
        with self.writing() as current:
            now = {name: dict(table.lines().items()) for name, table in current.tables.items()}
            changes = list(_differences(now, wanted))
            if changes:
                self.commit(changes)

    def checkpoint(self) -> None:
        """Bring the snapshot up to date, so that a stock TinyDB reads everything in it.

        Errors as of `commit`; the journal has everything all the same.
        """
        with self._sentences(), locked(self.paths.checkpoint_lock):
            with self._held() as current:
                frozen = seal(current)
                had_written, self._has_written = self._has_written, False
            if frozen is None:
                return
            try:
                write_snapshot(self.paths.new, frozen.tables, frozen.journal, frozen.token)
                with self._held() as current:
                    is_installed = install(current, frozen)
                if is_installed:
                    clean_up(current, frozen)
            except BaseException:
                self._has_written |= had_written
                raise

    def close(self) -> None:
        """Let go, after a checkpoint if anything was written here; closing again does nothing."""
        if self._closed:
            return
        background = self._background
        if background is not None:
            background.join()
        if self._has_written:
            self._checkpoint_or_say()
        self._closed = True
        with self._looking:
            self._current.forget()

    @contextlib.contextmanager
    def _held(self) -> Iterator[Current]:
        self._begin()
        try:
            yield self._current
        finally:
            self._end()

    def _begin(self) -> None:
        """Take both locks and look."""
        self._writers.acquire()
        try:
            if not self._depth:
                with self._sentences():
                    self._lock.acquire()
            self._depth += 1
        except BaseException:
            self._writers.release()
            raise
        try:
            with self._looking:
                self._current.catch_up()
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._lock.release()
        self._writers.release()

    def _header(self) -> Change:
        current = self._current
        next_ids = {name: table.next_id for name, table in current.tables.items()}
        token = os.urandom(8).hex()
        return Change(JOURNAL, "", current.journal_number, token=token, next_ids=next_ids)

    def _checkpoint_when_grown(self) -> None:
        # Each looked at once, for another thread may just be catching up.
        journal, snapshot = self._current.journal, self._current.snapshot
        if self._depth or journal is None or self._background is not None:
            return
        size = snapshot[1] if snapshot else 0
        if journal.applied > max(LEAST_GROWTH, size // _SHARE):
            # No daemon: a program that ends waits the moment that it takes.
            self._background = threading.Thread(target=self._work, name="checkpoint")
            self._background.start()

    def _work(self) -> None:
        try:
            self._checkpoint_or_say()
        finally:
            self._background = None

    def _checkpoint_or_say(self) -> None:
        """A checkpoint that was not asked for: where it fails, nothing is lost."""
        try:
            self.checkpoint()
        except (RecordNotWrittenError, FolderNotWritableError) as error:
            self._current.report(f"{error} (nothing is lost: the journal has everything)")

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ValueError("the database is closed")

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn what a disk refuses into one sentence."""
        name = f"{self.paths.snapshot.parent.name}/{self.paths.snapshot.name}"
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise RecordNotWrittenError(
                    f"{name}: can't be written ({error.strerror}); what was recorded before is "
                    "safe; make room on the disk and try again"
                ) from None
            if error.errno in _READ_ONLY:
                raise FolderNotWritableError(
                    f"{name}: can't be written ({error.strerror}); make its folder writable"
                ) from None
            raise


def _append(path: Path, start: int, data: bytes) -> None:
    """Put data behind the first `start` bytes, on disk; as it was before where that fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # What stands behind is a record that was only begun, by somebody who is gone.
        if os.fstat(descriptor).st_size > start:
            os.ftruncate(descriptor, start)
        os.lseek(descriptor, start, os.SEEK_SET)
        try:
            write_all(descriptor, data)
            sync_data(descriptor)
        except BaseException:
            os.ftruncate(descriptor, start)
            raise
    finally:
        os.close(descriptor)
    if not start:
        sync_folder(path.parent)


def _differences(
    now: Mapping[str, Mapping[int, bytes]], wanted: Mapping[str, Mapping[int, bytes]]
) -> Iterator[Change]:
    for name in now.keys() - wanted.keys():
        yield Change(DROP, name)
    for name, documents in wanted.items():
        old = now.get(name)
        if old is None:
            yield Change(MAKE, name)
            old = {}
        for number in old.keys() - documents.keys():
            yield Change(REMOVE, name, number)
        for number, line in documents.items():
            if old.get(number) != line:
                yield Change(UPDATE if number in old else INSERT, name, number, line)
