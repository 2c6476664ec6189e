"""The ledger: every change of what serves, one JSON line each, chained by checksums.

What is live is what the ledger says; nothing else is asked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path

from mlbench.domain.errors import MlbenchError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import LedgerEntry
from mlbench.system.content import hash_bytes
from mlbench.system.files import sync_folder, write_all
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
        return _parsed(self.read(), self._path.name)

    def read(self) -> bytes:
        """The file as it is, empty where there is none."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def append(self, entry: LedgerEntry) -> LedgerEntry:
        """Give the entry its place and checksum, write it and wait until it is on disk.

        A torn line at the end is cut first. Nothing is written where a line before is no entry
        (LedgerDamagedError), or where not all of it reaches the disk (OSError).
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_name("ledger.lock")):
            data = self.read()
            entries = _parsed(data, self._path.name)
            chained = chain(entry, entries[-1] if entries else None)
            with self._path.open("ab") as file:
                self._add(file.fileno(), data.rfind(b"\n") + 1, line_of(chained))
            sync_folder(self._path.parent)
        return chained

    def _add(self, descriptor: int, length: int, line: bytes) -> None:
        """Write a line behind the first `length` bytes, or leave these alone."""
        os.ftruncate(descriptor, length)
        try:
            write_all(descriptor, line)
            os.fsync(descriptor)
        except OSError as error:
            # Else what is said to have failed would be live for whoever reads next.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, length)
            error.filename = str(self._path)
            raise


def line_of(entry: LedgerEntry) -> bytes:
    """The line that stands for an entry in the file, and no other does."""
    text = json.dumps(to_plain(entry), ensure_ascii=False)
    # A reason that was typed in another encoding has lone surrogates; json.loads takes them back.
    return text.encode("utf-8", "surrogatepass") + b"\n"


def chain(entry: LedgerEntry, last: LedgerEntry | None) -> LedgerEntry:
    """The entry with its place behind `last`, and never earlier, whatever the clock says."""
    placed = dataclasses.replace(
        entry,
        sequence=1 if last is None else last.sequence + 1,
        at=entry.at if last is None else max(entry.at, last.at),
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


def _parsed(data: bytes, name: str) -> tuple[LedgerEntry, ...]:
    entries = []
    # Only a newline ends a line: what stands behind the last was torn by a crash.
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        entry = entry_in(line)
        if entry is None:
            raise LedgerDamagedError(
                f".mlbench/{name}:{number}: is no ledger entry; "
                "bring the file back from a backup, nothing is changed until then"
            )
        entries.append(entry)
    return tuple(entries)


def entry_in(line: bytes) -> LedgerEntry | None:
    """The entry that a line holds, None where it holds none."""
    try:
        return from_plain(LedgerEntry, json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
