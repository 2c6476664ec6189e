"""Seeing a save at once: events of the system, gathered until the tree is quiet.

Events are hints: whoever hears of a change looks at the tree itself.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from mlbench.pipeline.watching.git import IndexLock
from mlbench.pipeline.watching.ignored import PATTERN_FILES, Ignored
from mlbench.pipeline.watching.mounts import Mounts, mounts_now
from mlbench.pipeline.watching.pending import Change, Pending
from mlbench.pipeline.watching.places import Place, places
from mlbench.pipeline.watching.polling import Polling

_CURES = {
    errno.ENOSPC: "; raise fs.inotify.max_user_watches and watch again",
    errno.EMFILE: "; raise fs.inotify.max_user_instances and watch again",
}


class _Events(Protocol):
    """How the system tells of changes."""

    def look_anew(self) -> None:
        """Watch what is to be watched now; OSError where the system refuses."""

    def stop(self) -> None:
        """Let everything go."""


class Watch:
    """Calls `on_change` with changed paths once they are quiet for 50 ms, at most 1.6 s late.

    No paths at all mean that anything may have changed: events were lost, or what is watched is
    watched in another way from now on. Paths are relative to the project; those of deps outside
    are as the deps are named.
    """

    def __init__(
        self,
        root: Path,
        ignored: Ignored,
        on_change: Callable[[tuple[str, ...]], None],
        on_notice: Callable[[str], None] = lambda _: None,
        mounts: Mounts | None = None,
    ) -> None:
        """Nothing is watched until `start`; `on_notice` hears what a user should know later on."""
        self._ignored = ignored
        self._on_change = on_change
        self._on_notice = on_notice
        self._mounts = mounts_now() if mounts is None else mounts
        self._lock = IndexLock(root, self._tell_of_left_over)
        self._pending = Pending()
        self._changed = threading.Condition()
        self._stopping = self._must_look_anew = self._is_looking = False
        self._refusal: OSError | None = None
        self._polled: list[Place] = []
        self._polling = Polling(self._note)
        self._events: _Events | None = None
        self._thread = threading.Thread(target=self._gather, name="watch", daemon=True)
        self.detail = ""

    def start(self) -> None:
        """Begin to watch; what changes from the return on is told."""
        self._look_anew()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait for the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        if self._events is not None:
            self._events.stop()
        self._polling.stop()

    def look_for(self, names: Iterable[str]) -> None:
        """Look at what stages name now, wherever it lies; cheap where nothing is new."""
        if self._ignored.look_for(names):
            with self._changed:
                self._must_look_anew = True
                self._changed.notify()

    def _look_anew(self) -> None:
        """Listen where the system tells of changes, and poll where it does not."""
        self._polled, self._is_looking = [], True
        if self._refusal is None:
            try:
                self._events = self._events or self._open_events()
                self._events.look_anew()
            except OSError as refusal:
                self._refusal = refusal
        if self._refusal is not None:
            if self._events is not None:
                self._events.stop()
                self._events = None
            self._polled = self._read_places()
        self._is_looking = False
        self._polling.watch(tuple(self._polled))
        self.detail = self._how()

    def _open_events(self) -> _Events:
        if sys.platform == "linux":
            from mlbench.pipeline.watching.inotify import FolderWatch

            return FolderWatch(
                self._read_places,
                self._note,
                self._note_everything,
                self._refused,
                self._is_polled,
            )
        else:  # noqa: RET505 (mypy takes what follows a return on this platform for dead)
            from mlbench.pipeline.watching.observer import TreeWatch

            return TreeWatch(self._read_places, self._note, self._is_polled)

    def _read_places(self) -> list[Place]:
        self._ignored.read_again()
        return list(places(self._ignored))

    def _is_polled(self, place: Place) -> bool:
        if not self._mounts.remote_kind(place.path):
            return False
        if self._is_looking:
            self._polled.append(place)
        else:
            self._polling.add(place)
        return True

    def _how(self) -> str:
        if self._refusal is not None:
            cure = _CURES.get(self._refusal.errno or 0, "")
            return f"polling once a second: {self._refusal.strerror}{cure}"
        kinds = {self._mounts.remote_kind(place.path): place for place in self._polled}
        return "; ".join(
            f"polling {place.name or 'the project'} once a second: {kind} tells of no change "
            "that another machine makes"
            for kind, place in kinds.items()
        )

    def _note(self, path: str, change: Change) -> None:
        with self._changed:
            before = self._pending.due()
            self._pending.note(path, change, time.monotonic())
            after = self._pending.due()
            # A later time is found when the earlier one has come.
            if after is not None and (before is None or after < before):
                self._changed.notify()

    def _note_everything(self) -> None:
        with self._changed:
            self._pending.note_everything(time.monotonic())
            self._changed.notify()

    def _refused(self, refusal: OSError) -> None:
        with self._changed:
            self._refusal = refusal
            self._must_look_anew = True
            self._changed.notify()

    def _tell_of_left_over(self, lock: Path) -> None:
        self._on_notice(
            f"{lock} stands while nothing changes, as a killed git leaves it: it is not waited "
            "for any longer; remove it if no git command is running"
        )

    def _gather(self) -> None:
        while (paths := self._next()) is not None:
            is_other = any(os.path.basename(path) in PATTERN_FILES for path in paths)
            if is_other or self._must_look_anew:
                self._must_look_anew = False
                self._look_anew_and_tell()
            else:
                self._on_change(paths)

    def _next(self) -> tuple[str, ...] | None:
        """Wait for what is to be told, or for a reason to look anew; None is the end."""
        was_held = False
        with self._changed:
            while not self._stopping:
                if self._must_look_anew:
                    return ()
                now, due = time.monotonic(), self._pending.due()
                if due is None or now < due:
                    self._changed.wait(None if due is None else due - now)
                    continue
                # A checkout of thousands of files is one change, told when git is through.
                is_held = self._lock.holds(self._pending.quiet(now))
                if not is_held and not was_held:
                    return self._pending.take(now)
                was_held = is_held
                self._pending.hold(now)
        return None

    def _look_anew_and_tell(self) -> None:
        before = self.detail
        self._look_anew()
        if self.detail != before:
            self._on_notice(self.detail)
        self._note_everything()
