"""TinyDB on a snapshot and a journal: its interface, and what it can't promise as shipped."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from tinydb import TinyDB

from mlbench.tracking.database.changes import DROP, Change
from mlbench.tracking.database.index import INDEX_TABLE
from mlbench.tracking.database.storage import JournaledStorage
from mlbench.tracking.database.table import JournaledTable


class Database(TinyDB):
    """Many processes and threads may read and write one; what was acknowledged stays.

    Errors of a write: RecordNotWrittenError where the disk is full, FolderNotWritableError where it
    refuses; then nothing is changed. After `close` everything raises ValueError.
    """

    table_class = JournaledTable  # type: ignore[assignment]
    default_storage_class = JournaledStorage  # type: ignore[assignment]

    @property
    def files(self) -> JournaledStorage:
        """The storage."""
        return cast(JournaledStorage, self.storage)

    @property
    def damages(self) -> tuple[str, ...]:
        """Sentences on what was found damaged or foreign so far: file, place, what it costs."""
        return self.files.damages

    @property
    def is_doubtful(self) -> bool:
        """Whether the snapshot is another program's, can't be read, or is gone from its journal."""
        with self.files.looking() as current:
            if current.snapshot is None:
                return current.journal_number > 1
            is_read = any(table.base is not None for table in current.tables.values())
            return current.foreign or (bool(current.damaged) and not is_read)

    def table(self, name: str, **kwargs: object) -> JournaledTable:
        """A table by its name; ValueError for the one name that the file needs itself."""
        if name == INDEX_TABLE:
            raise ValueError(f'a table can\'t be called "{INDEX_TABLE}"')
        return cast(JournaledTable, super().table(name, **kwargs))

    def tables(self) -> set[str]:
        """The names of all tables."""
        with self.files.looking() as current:
            return set(current.tables)

    def drop_table(self, name: str) -> None:
        """Take a table away, if it is there."""
        self._tables.pop(name, None)
        with self.files.writing() as current:
            if name in current.tables:
                self.files.commit([Change(DROP, name)])

    def drop_tables(self) -> None:
        """Take all tables away."""
        self._tables.clear()
        with self.files.writing() as current:
            if current.tables:
                self.files.commit([Change(DROP, name) for name in current.tables])

    def check(self) -> tuple[str, ...]:
        """Look at every byte; gives `damages` as of then."""
        with self.files.looking() as current:
            tables = [table.lines() for table in current.tables.values()]
        for lines in tables:
            for _ in lines.pairs():
                pass
        return self.damages

    def checkpoint(self) -> None:
        """Bring the file up to date, as `close` does, so that a stock TinyDB reads all of it."""
        self.files.checkpoint()


def open_database(path: Path) -> Database:
    """The database whose snapshot is this file; nothing is written before the first change."""
    return Database(path)
