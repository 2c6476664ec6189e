"""The ledger: every promotion and rollback, one JSON line each, chained by checksums.

What is live is what the ledger says; nothing else is asked.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path

from mlbench.domain.errors import MlbenchError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import LedgerEntry
from mlbench.system.content import hash_bytes
from mlbench.system.files import sync_folder
from mlbench.system.locks import locked


class LedgerDamagedError(MlbenchError):
    """A line of the ledger was altered or is missing; says which."""


class Ledger:
    """Reads and appends entries; an entry that `append` returned has reached the disk."""

    def __init__(self, path: Path) -> None:
        """Use this file; it is made with the first entry."""
        self._path = path

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Every whole entry, oldest first; a line torn by a crash at the end is not one."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        entries = []
        for line in data.splitlines(keepends=True):
            if line.endswith(b"\n"):
                try:
                    entries.append(from_plain(LedgerEntry, json.loads(line)))
                except (ValueError, KeyError, TypeError):
                    raise LedgerDamagedError(
                        f".mlbench/{self._path.name}:{len(entries) + 1}: is no ledger entry; "
                        "bring the file back from a backup, nothing is changed until then"
                    ) from None
        return tuple(entries)

    def append(self, entry: LedgerEntry) -> LedgerEntry:
        """Give the entry its number and checksum, write it and wait until it is on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_name("ledger.lock")):
            entries = self.entries()
            chained = chain(entry, entries[-1] if entries else None)
            line = json.dumps(to_plain(chained), ensure_ascii=False).encode() + b"\n"
            with self._path.open("ab+") as file:
                _cut_torn_tail(file.fileno())
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._path.parent)
        return chained


def chain(entry: LedgerEntry, last: LedgerEntry | None) -> LedgerEntry:
    """The entry with its place behind `last`."""
    placed = dataclasses.replace(
        entry,
        sequence=1 if last is None else last.sequence + 1,
        previous="" if last is None else last.checksum,
        checksum="",
    )
    return dataclasses.replace(placed, checksum=checksum_of(placed))


def checksum_of(entry: LedgerEntry) -> str:
    """BLAKE3 over everything in an entry but its checksum."""
    blank = dataclasses.replace(entry, checksum="")
    return hash_bytes(json.dumps(to_plain(blank), sort_keys=True).encode())


def first_fault(entries: Iterable[LedgerEntry]) -> str | None:
    """What is wrong with the chain, by its first faulty entry; None where it is whole."""
    last: LedgerEntry | None = None
    for number, entry in enumerate(entries, start=1):
        if entry.checksum != checksum_of(entry):
            return f"entry {number} was altered after it was written"
        if entry.previous != ("" if last is None else last.checksum) or entry.sequence != number:
            return f"an entry before entry {number} is missing or out of order"
        last = entry
    return None


def _cut_torn_tail(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, data.rfind(b"\n") + 1)
