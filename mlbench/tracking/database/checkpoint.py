"""A checkpoint: everything into a new snapshot, while others read and write.

The journal is sealed (renamed) under the writers' lock, the snapshot is written without it, and
takes the old one's place under it again. A crash in between costs nothing: applying a journal again
to a snapshot that has it already changes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.records import dataclass
from mlbench.system.files import sync_folder
from mlbench.tracking.database.current import Current
from mlbench.tracking.database.snapshot import Identity, identity_of
from mlbench.tracking.database.tables import Lines


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a new snapshot will hold: every table, with the journals up to this one.

    `token` is that journal's own.
    `base` is the snapshot that it takes the place of.
    """

    tables: Mapping[str, Lines]
    journal: int
    token: str
    base: Identity | None


def seal(current: Current) -> Frozen | None:
    """Close the journal to further writes, under the writers' lock; None where nothing is new."""
    paths = current.paths
    waiting = [n for n in paths.all_sealed() if current.folded is None or n > current.folded]
    is_clean = current.folded is not None and not current.foreign
    if is_clean and not waiting and not current.has_more:
        return None
    token = current.sealed_token
    tables = {name: table.lines() for name, table in current.tables.items()}
    last = max(waiting, default=current.journal_number - 1)
    if current.journal is not None:
        # Behind every other, so that it is neither passed over nor put in another's place.
        last = max(last + 1, current.journal_number, (current.folded or 0) + 1)
        token = current.journal.token
        os.rename(paths.journal, paths.sealed(last))
    return Frozen(tables, last, token, current.snapshot)


def install(current: Current, frozen: Frozen) -> bool:
    """Put the new snapshot in its place, under the writers' lock; whether it is there."""
    paths = current.paths
    if identity_of(paths.snapshot) != frozen.base:
        # Another program wrote the old one meanwhile: its content counts, and the journals stay.
        paths.new.unlink(missing_ok=True)
        return False
    if frozen.base is not None and frozen.base[0] in current.damaged:
        _keep_aside(paths.snapshot, paths.damaged(paths.snapshot.suffix))
    os.replace(paths.new, paths.snapshot)
    return True


def _keep_aside(snapshot: Path, target: Path) -> None:
    """Have the snapshot under a second name, also where the file system has no hard links."""
    try:
        os.link(snapshot, target)
    except FileExistsError:
        raise
    except OSError:
        # Late: it is hardly ever needed.
        import shutil

        shutil.copyfile(snapshot, target)


def clean_up(current: Current, frozen: Frozen) -> None:
    """Drop the journals that are in the snapshot, once that can't be lost any more."""
    sync_folder(current.paths.snapshot.parent)
    for number in current.paths.all_sealed():
        if number <= frozen.journal:
            _drop(current, current.paths.sealed(number))


def _drop(current: Current, journal: Path) -> None:
    """Remove a journal; one that holds damaged bytes is kept aside."""
    with contextlib.suppress(FileNotFoundError):
        if journal.stat().st_ino in current.damaged:
            os.rename(journal, current.paths.damaged(".journal"))
        else:
            journal.unlink()
