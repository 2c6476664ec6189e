"""Looking again and again, where the system tells nobody of changes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from mlbench.pipeline.watching.pending import Change
from mlbench.pipeline.watching.places import Place

Stamp = tuple[int, int, int]
Note = Callable[[str, Change], None]
SECONDS = 1.0
# One look takes at most this part of the time.
SHARE = 0.1
_LONGEST_WAIT_FOR_A_LOOK = 2.0


class Polling:
    """Compares the size, time and inode of every file that counts, once a second or slower."""

    def __init__(self, note: Note) -> None:
        """Nothing is looked at until there are places."""
        self._note = note
        self._places: tuple[Place, ...] = ()
        self._seen: dict[str, Stamp] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, places: tuple[Place, ...]) -> None:
        """Look at these places from now on, for what differs from this moment."""
        with self._lock:
            self._places, self._seen = places, stamps(places)
        self._begin()

    def add(self, place: Place) -> None:
        """Look at one more place; what it holds is told as new."""
        with self._lock:
            if place.path not in {known.path for known in self._places}:
                self._places = (*self._places, place)
        self._begin()

    def stop(self) -> None:
        """Stop; a look that hangs in a dead network mount is left to itself."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_LONGEST_WAIT_FOR_A_LOOK)

    def _begin(self) -> None:
        if self._places and self._thread is None:
            self._thread = threading.Thread(target=self._poll, name="watch-polling", daemon=True)
            self._thread.start()

    def _poll(self) -> None:
        seconds = 0.0
        while not self._stopping.wait(max(SECONDS, seconds / SHARE)):
            began = time.monotonic()
            with self._lock:
                before, now = self._seen, stamps(self._places)
                self._seen = now
            seconds = time.monotonic() - began
            for name, change in changes(before, now):
                self._note(name, change)


def stamps(places: tuple[Place, ...]) -> dict[str, Stamp]:
    """Size, mtime (ns) and inode of each file that counts, by the name that it is told by."""
    found: dict[str, Stamp] = {}
    pending = list(places)
    while pending:
        place = pending.pop()
        folders, files = place.look(with_files=True)
        pending += folders
        for entry in files:
            try:
                stat = os.stat(entry.path)
            except OSError:
                continue
            found[place.name_of(entry.name)] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return found


def changes(before: dict[str, Stamp], now: dict[str, Stamp]) -> list[tuple[str, Change]]:
    """What differs between two looks, each difference as something complete."""
    differing = [name for name, stamp in now.items() if before.get(name) != stamp]
    gone = before.keys() - now.keys()
    return [(name, Change.SAVED) for name in differing] + [(name, Change.GONE) for name in gone]
