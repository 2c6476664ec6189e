"""Linux's inotify through watchdog's descriptor: one watch a folder, and none for what is ignored.

Watchdog's own observers watch whole trees or take a thread for each folder, swallow a refused
watch, and keep an overflow to themselves; the layer below them, used here, does none of it.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from mlbench.pipeline.watching.pending import Change
from mlbench.pipeline.watching.places import Place

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import (
        CallbackId,
        InotifyEvent,
        InotifyFD,
        Mask,
        WatchDescriptor,
    )

# inotify(7): modify, close after writing, moved from, moved to, create, delete, delete self, move
# self; only folders, and nothing of unlinked files. Not asked for: reading, and a file's mode.
_MASK = cast(
    "Mask", 0x0002 | 0x0008 | 0x0040 | 0x0080 | 0x0100 | 0x0200 | 0x0400 | 0x0800 | 0x05000000
)
_UNMOUNTED = 0x2000
_UPROOTED = 0x0400 | 0x0800 | _UNMOUNTED
_KEYS = itertools.count(1)
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class Folder:
    """One watched folder; watchdog calls it with what the kernel tells of it."""

    def __init__(self, place: Place, watch: FolderWatch, is_top: bool) -> None:
        """Not watched until the watch adds it; nothing watched above a top one tells of it."""
        self.place = place
        self.is_top = is_top
        self.descriptor: WatchDescriptor | None = None
        self.key = cast("CallbackId", next(_KEYS))
        self.inner: dict[str, Folder] = {}
        self.left: set[str] = set()
        self._watch = watch

    def on_event(self, event: InotifyEvent) -> None:
        """Something happened to the folder or in it."""
        self._watch.heard(self, event)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002
        """The folder is gone, and the kernel's watch with it."""
        self.descriptor = None

    def on_queue_overflow(self) -> None:
        """The kernel lost events."""
        self._watch.overflowed(self)


class FolderWatch:
    """Watches trees folder by folder, and follows them as folders come, go and move."""

    def __init__(
        self,
        places: Callable[[], Iterable[Place]],
        note: Callable[[str, Change], None],
        note_everything: Callable[[], None],
        on_refusal: Callable[[OSError], None],
        is_elsewhere: Callable[[Place], bool],
    ) -> None:
        """Where what is to be watched, and who hears of it.

        `is_elsewhere` takes over what has to be polled; `on_refusal` hears where the system
        refuses a watch later. Raises OSError where it refuses a descriptor.
        """
        from watchdog.observers.inotify_c import InotifyFD

        # What the library logs (an event after the stop, say) is nothing to print over a screen.
        logging.getLogger("watchdog").addHandler(logging.NullHandler())
        self._places = places
        self._note = note
        self._note_everything = note_everything
        self._on_refusal = on_refusal
        self._is_elsewhere = is_elsewhere
        self._lock = threading.RLock()
        self._tops: list[Folder] = []
        self._is_over = False
        self._inotify: InotifyFD = InotifyFD()
        self._inotify.start()

    def look_anew(self) -> None:
        """Watch what is to be watched now; OSError where the system refuses.

        A folder that is watched already stays so meanwhile, and loses no event.
        """
        with self._lock:
            before, self._tops = self._tops, []
            for place in self._places():
                self._tops.append(self._add(Folder(place, self, is_top=True)))
            for folder in before:
                self._let_go(folder)

    def stop(self) -> None:
        """Let everything go, and wait for the thread."""
        with self._lock:
            self._is_over = True
        self._inotify.stop()
        self._inotify.join()

    def heard(self, folder: Folder, event: InotifyEvent) -> None:
        """Note what counts, and follow what happened to folders."""
        with self._lock:
            if self._is_over or folder.descriptor is None:
                return
            if event.mask & _UPROOTED:
                if folder.is_top or event.mask & _UNMOUNTED:
                    self._recover()
                return
            name, is_folder = os.fsdecode(event.name), event.is_directory
            if not name or folder.place.rules.ignores(name, is_folder):
                return
            try:
                self._follow(folder, name, event)
            except OSError as refusal:
                self._give_up(refusal)

    def overflowed(self, folder: Folder) -> None:
        """Look anew, once for all the folders that are told of it."""
        with self._lock:
            first = next((top for top in self._tops if top.descriptor is not None), None)
            if folder is first and not self._is_over:
                self._recover()

    def _recover(self) -> None:
        try:
            self.look_anew()
        except OSError as refusal:
            self._give_up(refusal)
        self._note_everything()

    def _give_up(self, refusal: OSError) -> None:
        self._is_over = True
        self._on_refusal(refusal)

    def _follow(self, folder: Folder, name: str, event: InotifyEvent) -> None:
        path = folder.place.name_of(name)
        if event.is_delete or event.is_moved_from:
            inner = folder.inner.pop(name, None)
            if inner is not None:
                folder.left.add(name)
                self._let_go(inner)
            self._note(path, Change.GONE)
        elif event.is_create or event.is_moved_to:
            self._note(path, Change.MADE if event.is_create else Change.SAVED)
            if _may_lead_on(os.path.join(folder.place.path, name)):
                self._note(path, Change.SAVED)
                self._enter(folder, name, Change.MADE if event.is_create else Change.SAVED)
        else:
            self._note(path, Change.WRITTEN if event.is_modify else Change.SAVED)

    def _enter(self, folder: Folder, name: str, change: Change) -> None:
        """Watch a folder that came, and tell what it holds: that is older than the watch."""
        place = folder.place.inside(name, is_new=True)
        if place is None:
            return
        before = folder.inner.pop(name, None)
        if before is not None:
            self._let_go(before)
        found: list[str] = []
        folder.inner[name] = self._add(self._inner(place), found)
        for path in found:
            self._note(path, change)
        if before is not None or name in folder.left:
            # Another folder under a known name: what it lacks of the former one, no event tells.
            self._note_everything()

    def _inner(self, place: Place) -> Folder:
        return Folder(place, self, is_top=place.links[-1:] == (place.path,))

    def _add(self, top: Folder, found: list[str] | None = None) -> Folder:
        """Watch a tree; each folder before it is listed, so that nothing falls in between."""
        pending = [top]
        while pending:
            folder = pending.pop()
            place = folder.place
            if self._is_elsewhere(place) or not self._is_added(folder):
                continue
            folders, files = place.look(with_files=found is not None)
            if found is not None:
                found += [place.name_of(file.name) for file in files]
            for inner in map(self._inner, folders):
                folder.inner[os.path.basename(inner.place.name)] = inner
                pending.append(inner)
        return top

    def _is_added(self, folder: Folder) -> bool:
        path = os.fsencode(folder.place.path)
        try:
            found = self._inotify.add_callback(path, _MASK, folder, folder.key)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return False
            raise
        # The library gives -1 for a folder that may not be read, and keeps that as a watch.
        folder.descriptor = found if found >= 0 else None
        return found >= 0

    def _let_go(self, top: Folder) -> None:
        pending = [top]
        while pending:
            folder = pending.pop()
            pending += folder.inner.values()
            if folder.descriptor is not None:
                self._inotify.remove_callbacks([(folder.descriptor, folder.key)])
                folder.descriptor = None


def _may_lead_on(path: str) -> bool:
    """Whether it is anything but a plain file that is being written, which is closed one day."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return not stat.S_ISREG(found.st_mode) or found.st_nlink > 1
