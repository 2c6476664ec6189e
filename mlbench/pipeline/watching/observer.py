"""Watchdog's observer for whole trees: macOS's FSEvents, which cost the same for any tree."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from mlbench.pipeline.watching.ignored import Rules
from mlbench.pipeline.watching.pending import Change
from mlbench.pipeline.watching.places import Place, Way

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

_COUNTING = ("created", "deleted", "modified", "moved", "closed")


class TreeWatch:
    """Hears of everything below the places, and leaves out what is ignored."""

    def __init__(
        self,
        places: Callable[[], Iterable[Place]],
        note: Callable[[str, Change], None],
        is_elsewhere: Callable[[Place], bool],
    ) -> None:
        """Where what is to be watched, and who hears of it."""
        from watchdog.observers import Observer

        # What the library logs is nothing to print over a screen.
        for name in ("watchdog", "fsevents"):
            logging.getLogger(name).addHandler(logging.NullHandler())
        self._places = places
        self._note = note
        self._is_elsewhere = is_elsewhere
        self._lock = threading.Lock()
        self._observer: BaseObserver = Observer()
        self._observer.start()

    def look_anew(self) -> None:
        """Watch what is to be watched now; OSError where the system refuses."""
        from watchdog.events import FileSystemEventHandler

        tell = self._tell

        class Handler(FileSystemEventHandler):
            def __init__(self, place: Place) -> None:
                self._place = place
                self._known: dict[str, Rules | None] = {}

            def on_any_event(self, event: FileSystemEvent) -> None:
                tell(self._place, self._known, event)

        with self._lock:
            self._observer.unschedule_all()
            for top in self._places():
                for place in _trees(top):
                    if not self._is_elsewhere(place):
                        self._observer.schedule(
                            Handler(place), place.path, recursive=not isinstance(place.rules, Way)
                        )

    def stop(self) -> None:
        """Stop, and wait for the threads."""
        self._observer.stop()
        self._observer.join()

    def _tell(self, place: Place, known: dict[str, Rules | None], event: FileSystemEvent) -> None:
        is_folder = event.is_directory
        if event.event_type not in _COUNTING or (is_folder and event.event_type == "modified"):
            return
        ends = ((event.src_path, "moved"), (event.dest_path, ""))
        for path, gone_by in ends:
            name = os.path.relpath(os.fsdecode(path), place.path) if path else "."
            if name == "." or name.startswith(".."):
                continue
            folder, last = os.path.split(name)
            rules = _rules_at(place, known, folder)
            if rules is not None and not rules.ignores(last, is_folder):
                is_gone = event.event_type in ("deleted", gone_by)
                # FSEvents tell of no closing, and of a change only once it is written.
                self._note(place.name_of(name), Change.GONE if is_gone else Change.SAVED)


def _trees(top: Place) -> Iterator[Place]:
    """The place, and what has to be watched beside it: ends of the way, and top folders' links."""
    yield top
    folders, _ = top.look(with_files=False)
    for inner in folders:
        if isinstance(top.rules, Way) or inner.links != top.links:
            yield from _trees(inner) if isinstance(inner.rules, Way) else (inner,)


def _rules_at(place: Place, known: dict[str, Rules | None], folder: str) -> Rules | None:
    """The rules of a folder below the place, or None where it is in something ignored."""
    if not folder:
        return place.rules
    if folder not in known:
        above, name = os.path.split(folder)
        rules = _rules_at(place, known, above)
        is_out = rules is None or rules.ignores(name, True)
        known[folder] = None if rules is None or is_out else rules.inside(name)
    return known[folder]
