"""What the watch asks of git's own files: where they lie, and whether a command is under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mlbench.inside import worktree

STALE_SECONDS = 10.0
STALE_QUIET_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 60.0


def work_tree(folder: Path) -> Path | None:
    """The nearest folder at or above this one that holds a `.git`, None outside of a repository."""
    top = worktree.top_of(str(folder))
    return None if top is None else Path(top)


def git_folder(top: Path) -> Path:
    """Where a work tree's index lies."""
    return Path(worktree.git_folder(str(top)))


def common_folder(top: Path) -> Path:
    """What all worktrees of a repository share, `info/exclude` among it."""
    return Path(worktree.common_folder(str(top)))


def is_left_over(age: float, held: float, quiet: float) -> bool:
    """Whether a lock is a killed git's; seconds since it was made, first held, the last event.

    A checkout writes files all the time; a lock that stands while nothing changes guards nothing.
    """
    return (age >= STALE_SECONDS and quiet >= STALE_QUIET_SECONDS) or held >= LONGEST_HOLD_SECONDS


class IndexLock:
    """`index.lock`, which git holds while it changes the work tree."""

    def __init__(self, root: Path, on_left_over: Callable[[Path], None]) -> None:
        """`on_left_over` hears once of each lock that is not waited for any longer."""
        self._root = root
        self._on_left_over = on_left_over
        self._seen: tuple[int, int] | None = None
        self._since = 0.0
        self._given_up: tuple[int, int] | None = None

    def holds(self, quiet: float) -> bool:
        """Whether a git command is under way, where nothing has changed for `quiet` seconds."""
        top = work_tree(self._root)
        if top is None:
            return False
        path = git_folder(top) / "index.lock"
        try:
            found = path.stat()
        except OSError:
            return False
        now, mark = time.monotonic(), (found.st_ino, found.st_mtime_ns)
        if mark == self._given_up:
            return False
        if mark != self._seen:
            self._seen, self._since = mark, now
        held = now - self._since
        # The file's own age tells of a lock from yesterday; another machine's clock may be off.
        age = max(held, time.time() - found.st_mtime)
        if not is_left_over(age, held, quiet):
            return True
        self._given_up = mark
        self._on_left_over(path)
        return False
