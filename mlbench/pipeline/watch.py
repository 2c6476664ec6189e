"""Seeing a save at once: watchdog's events, gathered until the tree is quiet.

Events are hints: whoever hears of a change looks at the tree itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import ObservedWatch

QUIET_SECONDS = 0.05
CAP_SECONDS = 1.6
_COUNTING = ("created", "deleted", "modified", "moved", "closed")


class Watch:
    """Calls `on_change` with changed paths once they are quiet for 50 ms, at most 1.6 s late."""

    def __init__(
        self,
        root: Path,
        ignored: Callable[[Path], bool],
        on_change: Callable[[tuple[str, ...]], None],
    ) -> None:
        """Nothing is watched until `start`."""
        self._root = root
        self._ignored = ignored
        self._on_change = on_change
        self._pending: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._last_event = 0.0
        self._thread = threading.Thread(target=self._gather, name="watch", daemon=True)
        self._folders: dict[Path, ObservedWatch] = {}

    def start(self) -> None:
        """Begin to watch; falls back to polling where the system has no watches left."""
        from watchdog.observers import Observer

        # What the library logs (an event after the stop, say) is nothing to print over a screen.
        logging.getLogger("watchdog").addHandler(logging.NullHandler())
        # It warns of a folder that it sees twice, once made and once found in a new one.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._observer = Observer()
        try:
            self._schedule()
            self._observer.start()
            self.detail = ""
        except OSError as error:
            from watchdog.observers.polling import PollingObserver

            self._observer = PollingObserver(timeout=1.0)
            self._folders.clear()
            self._schedule()
            self._observer.start()
            self.detail = f"polling once a second, for the system refused a watch: {error.strerror}"
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait for the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._observer.stop()
        self._thread.join()
        self._observer.join()

    def _schedule(self) -> None:
        """Watch the top folder alone and each folder in it that is not ignored as a whole tree.

        So a virtual environment or git's objects take no watches.
        """
        from watchdog.events import FileSystemEventHandler

        watch = self

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                watch._note(event)

        self._handler = Handler()
        self._observer.schedule(self._handler, str(self._root), recursive=False)
        for path in self._root.iterdir():
            self._look_at_folder(path)

    def _look_at_folder(self, path: Path) -> None:
        """Watch a folder as it is now: one that came again under its name is another folder."""
        known = self._folders.pop(path, None)
        if known is not None:
            self._observer.unschedule(known)
        if path.is_dir() and not self._ignored(path):
            self._folders[path] = self._observer.schedule(self._handler, str(path), recursive=True)

    def _note(self, event: FileSystemEvent) -> None:
        if event.event_type not in _COUNTING or (
            event.is_directory and event.event_type == "modified"
        ):
            return
        # An editor's atomic save is a move whose destination is the file.
        paths = {Path(str(path)) for path in (event.src_path, event.dest_path) if path}
        counting = {str(path.relative_to(self._root)) for path in paths if not self._ignored(path)}
        if not counting:
            return
        if event.is_directory:
            for path in paths:
                if path.parent == self._root:
                    # It may be gone again by now, which another event will tell.
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        self._look_at_folder(path)
        with self._changed:
            self._pending |= counting
            self._last_event = time.monotonic()
            self._changed.notify()

    def _gather(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._stopping)
                first = time.monotonic()
                while not self._stopping and not self._is_settled(first):
                    self._changed.wait(QUIET_SECONDS / 2)
                if self._stopping:
                    return
                paths, self._pending = tuple(sorted(self._pending)), set()
            self._on_change(paths)

    def _is_settled(self, first: float) -> bool:
        now = time.monotonic()
        # A checkout of thousands of files is one change: git holds this file until it is through.
        if (self._root / ".git" / "index.lock").exists():
            return False
        return now - self._last_event >= QUIET_SECONDS or now - first >= CAP_SECONDS
