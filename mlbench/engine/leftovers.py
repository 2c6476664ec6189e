"""What crashes and time leave in `.mlbench`, and how it is cleared away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mlbench.engine import inbox
from mlbench.engine.event_log import event_files
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.project.layout import Layout
from mlbench.system.files import entries_in, remove, size_of
from mlbench.system.locks import FileLock

KEPT_DAYS = 14
_DAY_SECONDS = 86400.0
_TORN = re.compile(r"\..+\.[a-z0-9_]{8}")


def clear_leftovers(layout: Layout, lasting: Callable[[str], bool], *, dry_run: bool) -> int:
    """Remove what nothing will ask for again; gives its bytes.

    `lasting` tells of a run's id whether it keeps what its stages left: the watch's and most trials
    lose that after a while unless they are marked. What only the holder of the loop may touch is
    left alone where somebody holds it.
    """
    now = time.time()
    found = [*_old_events(layout, now), *_unfinished_files(layout, now)]
    found += [*_old_run_outs(layout, lasting, now), *_unfinished_exports(layout, now)]
    found += [*_old_trash(layout, now), *_unused_environments(layout, now)]
    freed = _clear(found, dry_run) + _clear_snapshots(layout, now, dry_run)
    loop = FileLock(layout.loop_lock)
    if layout.own.is_dir() and loop.try_acquire():
        try:
            freed += _clear(list(_forgotten_outs(layout)), dry_run)
            if not dry_run:
                inbox.clear_stale(layout.inbox)
        finally:
            loop.release()
    return freed


def _clear(paths: list[Path], dry_run: bool) -> int:
    freed = 0
    for path in paths:
        freed += size_of(path)
        if not dry_run:
            remove(path)
    return freed


def _clear_snapshots(layout: Layout, now: float, dry_run: bool) -> int:
    """Snapshots that nobody used for long; each is held while it goes, so nobody gets half of it.

    One in which a stage still runs is in use, whoever started it. The lock file itself stays:
    whoever waits for it waits for this very file.
    """
    freed = 0
    for slot in entries_in(layout.snapshots):
        snapshot = Snapshot(layout, slot.name)
        if not slot.is_dir() or not _is_old(_newest(slot), now) or not snapshot.try_acquire():
            continue
        try:
            freed += _clear([path for path in entries_in(slot) if path.name != "lock"], dry_run)
        finally:
            snapshot.release()
    return freed


def _newest(slot: Path) -> float:
    """When something directly in a snapshot's slot changed last; its lock is touched by looking."""
    return max((_modified(path) for path in entries_in(slot) if path.name != "lock"), default=0.0)


def _old_events(layout: Layout, now: float) -> Iterator[Path]:
    """Events of holders that are gone; the newest file may be the present holder's."""
    return (path for path in event_files(layout.events)[:-1] if _is_old(_modified(path), now, 1))


def _unfinished_files(layout: Layout, now: float) -> Iterator[Path]:
    """Files that were to replace others, of writers that were killed before they did."""
    own = (layout.own, layout.state, layout.inbox, layout.events)
    shared = (layout.shared, layout.traces.parent, layout.serving)
    for folder in dict.fromkeys((*own, *shared)):
        for path in entries_in(folder):
            if _TORN.fullmatch(path.name) and path.is_file() and _is_old(_modified(path), now, 1):
                yield path


def _unfinished_exports(layout: Layout, now: float) -> Iterator[Path]:
    for model in entries_in(layout.models):
        for path in entries_in(model):
            if path.name.startswith(".export-") and _is_old(_modified(path), now, 1):
                yield path


def _old_run_outs(layout: Layout, lasting: Callable[[str], bool], now: float) -> Iterator[Path]:
    """What failed or overtaken stages had written and what scripts saved, kept for a while."""
    for run in entries_in(layout.runs):
        if _is_old(_modified(run), now) and not lasting(run.name):
            for stage in entries_in(run / "stages"):
                for path in (stage / "outs", stage / "artifacts"):
                    if path.is_dir() and _is_old(_modified(path), now):
                        yield path


def _old_trash(layout: Layout, now: float) -> Iterator[Path]:
    """Runs that were deleted long ago."""
    return (path for path in entries_in(layout.trash) if _is_old(_modified(path), now))


def _unused_environments(layout: Layout, now: float) -> Iterator[Path]:
    """Environments that no run's folder has a link to any more."""
    for path in entries_in(layout.environments):
        if _is_old(_modified(path), now, 1) and path.stat().st_nlink == 1:
            yield path


def _forgotten_outs(layout: Layout) -> Iterator[Path]:
    """Outs set aside for which no intent stands: they were replaced, or put back, by now."""
    intended = {path.stem for path in entries_in(layout.state / "intents")}
    return (path for path in entries_in(layout.state / "aside") if path.name not in intended)


def _is_old(modified: float, now: float, days: float = KEPT_DAYS) -> bool:
    return now - modified > days * _DAY_SECONDS


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return time.time()
