"""All tables as of the last look: the snapshot, with the changes of the journals over it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from mlbench.tracking.database.changes import DROP, INSERT, JOURNAL, Change
from mlbench.tracking.database.journal import JournalFile
from mlbench.tracking.database.paths import Paths
from mlbench.tracking.database.scan import Scanned, scan
from mlbench.tracking.database.snapshot import (
    Base,
    Identity,
    SnapshotFile,
    identity_of,
    place,
)
from mlbench.tracking.database.tables import TableState

_PATIENCE = 10
_PAUSE_SECONDS = 0.02
# An old snapshot is read on with what changed since; at some time that is too much to keep.
_MOST_CHANGED = 10_000


class Current:
    """What the files say; `version` rises with every change, `damages` are sentences."""

    def __init__(self, paths: Paths) -> None:
        """Know nothing yet; `catch_up` looks."""
        self.paths = paths
        self.tables: dict[str, TableState] = {}
        self.damages: dict[str, None] = {}
        self.version = 0
        self.foreign = False
        self.snapshot: Identity | None = None
        self.journal: JournalFile | None = None
        # Of the journal that is written next, whether it is there or not.
        self.journal_number = 1
        # The last journal in the snapshot; None where the snapshot doesn't say.
        self.folded: int | None = 0
        # Of the last journal before that one, all of which is here.
        self.sealed_token = ""
        # Inodes of files that hold bytes which a checkpoint must not throw away.
        self.damaged: set[int] = set()
        self._looked = False

    @property
    def has_more(self) -> bool:
        """Whether the journal has a change that the snapshot doesn't have."""
        return self.journal is not None and self.journal.has_changes

    def catch_up(self) -> None:
        """Take what others have written since the last time."""
        snapshot = identity_of(self.paths.snapshot)
        is_known = self._looked and self._follow_journal()
        if is_known and snapshot != self.snapshot:
            is_known = self._is_in(snapshot)
        if not is_known:
            self._load()

    def _follow_journal(self) -> bool:
        """Take what was added to the journal, and to the one after it; whether that is all."""
        try:
            inode = os.stat(self.paths.journal).st_ino
        except FileNotFoundError:
            inode = 0
        if self.journal is not None:
            if self.journal.size < self.journal.applied:
                return False
            self._read(self.journal)
            if self.journal.inode == inode:
                return True
            # Sealed, or taken away.
            self.sealed_token = self.journal.token
            self.journal = None
            self.journal_number += 1
        following = _opened(self.paths.journal) if inode else None
        if following is None:
            return True
        self._read(following)
        self.journal = following
        return following.number == self.journal_number

    def _is_in(self, snapshot: Identity | None) -> bool:
        """Whether a new snapshot holds nothing that isn't here: then everything stays as it is.

        It was made of the journal that was sealed last, all of which was taken.
        """
        if self.foreign:
            return False
        changed = sum(len(table.changed) for table in self.tables.values())
        file = _opened_snapshot(self.paths.snapshot)
        if file is None or file.identity != snapshot or changed > _MOST_CHANGED:
            return False
        directory = file.directory()
        if directory is None or not directory.token or directory.token != self.sealed_token:
            return False
        self.snapshot, self.folded = snapshot, directory.journal
        return True

    def table(self, name: str) -> TableState:
        """A table to change, made where there is none."""
        return self.tables.setdefault(name, TableState())

    def forget(self) -> None:
        """Let go of all files; the next look begins anew."""
        self.tables, self.journal, self._looked = {}, None, False

    def report(self, sentence: str) -> None:
        """Keep what is to be said of damage; the same is said once."""
        self.damages[sentence] = None

    def report_damage(self, inode: int, sentence: str) -> None:
        """As `report`, of bytes in this file."""
        self.damaged.add(inode)
        self.report(sentence)

    def _load(self) -> None:
        """Begin anew from the files."""
        for patience in range(_PATIENCE, -1, -1):
            # In this order: whoever seals the journal meanwhile has it open here all the same,
            # and whoever finishes a checkpoint meanwhile has replaced the snapshot.
            file = _opened_snapshot(self.paths.snapshot)
            active = _opened(self.paths.journal)
            numbers = self.paths.all_sealed()
            sealed = [(n, _opened(self.paths.sealed(n))) for n in numbers]
            moved = identity_of(self.paths.snapshot) != (file.identity if file else None)
            if patience and (moved or any(journal is None for _, journal in sealed)):
                continue
            journals = [(n, journal) for n, journal in sealed if journal is not None]
            if self._take(file, journals, active) or not patience:
                break
            # A program that writes in place may be at it.
            time.sleep(_PAUSE_SECONDS)
        self._looked = True

    def _take(
        self,
        file: SnapshotFile | None,
        sealed: Sequence[tuple[int, JournalFile]],
        active: JournalFile | None,
    ) -> bool:
        """Everything from these files; whether the snapshot can be read at all."""
        self.tables = {}
        self.version += 1
        self.snapshot = file.identity if file else None
        folded, readable = self._take_snapshot(file)
        self.folded = folded
        wanted = [(n, journal) for n, journal in sealed if folded is None or n > folded]
        changes: list[Change] = []
        last, self.sealed_token = folded or 0, ""
        for number, journal in wanted:
            if active is not None and journal.inode == active.inode:
                continue
            changes += self._more_of(journal)
            last, self.sealed_token = number, journal.token
        if active is not None:
            changes += self._more_of(active)
        self._name_missing(folded, [n for n, _ in wanted], active)
        if self.foreign:
            self._make_room(changes)
        self._apply(changes)
        self.journal = active
        self.journal_number = active.number if active and active.number else last + 1
        return readable

    def _take_snapshot(self, file: SnapshotFile | None) -> tuple[int | None, bool]:
        """The tables of the snapshot; the last journal in it, and whether it can be read."""
        self.foreign = False
        if file is None:
            return 0, True
        directory = file.directory()
        if directory is None:
            found = scan(file)
            self._take_scanned(file, found)
            return found.journal, not found.is_lost
        sections = file.sections(directory)
        for section in sections:
            base = Base(file, section, partial(self.report_damage, file.identity[0]))
            self.tables[section.name] = TableState(base, section.next_id)
        for start, end in file.damaged_frame(sections):
            where = place(file.path, start, end)
            self.report(f"{where}: the frame of a table is not what was written; it was put right")
        return directory.journal, True

    def _take_scanned(self, file: SnapshotFile, found: Scanned) -> None:
        self.tables.update(found.tables)
        self.foreign = found.foreign
        for sentence in found.damages:
            self.report(sentence)
        # The one sentence about another program's file is no damage.
        if len(found.damages) > found.foreign:
            self.damaged.add(file.identity[0])

    def _read(self, journal: JournalFile) -> None:
        """Take what was added to a journal."""
        if journal.size > journal.applied:
            changes = self._more_of(journal)
            self._apply(changes)

    def _more_of(self, journal: JournalFile) -> list[Change]:
        tail = journal.read_more()
        for damage in tail.damages:
            where = place(journal.path, damage.start, damage.end)
            cost = "it is left out" if damage.body is None else "it was put right"
            self.report_damage(journal.inode, f"{where}: a record is not what was written; {cost}")
        return tail.changes

    def _apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self.version += 1
            if change.kind == JOURNAL:
                for name, next_id in (change.next_ids or {}).items():
                    if name in self.tables:
                        table = self.tables[name]
                        table.next_id = max(table.next_id, next_id)
                continue
            if change.kind == DROP:
                self.tables.pop(change.table, None)
            else:
                self.table(change.table).apply(change)

    def _name_missing(
        self, folded: int | None, sealed: Sequence[int], active: JournalFile | None
    ) -> None:
        """Say where a journal goes on from a snapshot that isn't there."""
        if folded is None or active is None or active.number <= folded + 1:
            return
        missing = sorted({*range(folded + 1, active.number)} - {*sealed})
        if missing:
            name = f"{self.paths.snapshot.parent.name}/{self.paths.snapshot.name}"
            self.report(
                f"{name}: is missing, or older than the journal beside it; what was changed "
                "between the two is left out"
            )

    def _make_room(self, changes: Sequence[Change]) -> None:
        """Give documents of another program new ids where the journal has inserted others."""
        inserts = [change for change in changes if change.kind == INSERT]
        for change in inserts:
            table = self.table(change.table)
            table.next_id = max(table.next_id, change.number + 1)
        for change in inserts:
            table = self.table(change.table)
            line = table.line(change.number)
            if line is not None and line != change.line:
                table.put(table.next_id, line)
                self.report(
                    f"{self.paths.snapshot.parent.name}/{self.paths.snapshot.name}: document "
                    f'{change.number} of table "{change.table}" of the other program has become '
                    f"document {table.next_id - 1}, for the journal has another one of this id"
                )


def _opened(path: Path) -> JournalFile | None:
    with contextlib.suppress(FileNotFoundError):
        return JournalFile(path)
    return None


def _opened_snapshot(path: Path) -> SnapshotFile | None:
    with contextlib.suppress(FileNotFoundError):
        return SnapshotFile(path)
    return None
