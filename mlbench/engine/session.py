"""How a face reaches the loop of a folder: it holds it, or is attached to who does."""

from __future__ import annotations

import time
from pathlib import Path

from mlbench.domain.commands import Command
from mlbench.domain.events import Event
from mlbench.engine import inbox
from mlbench.engine.event_log import EventFollower
from mlbench.engine.loop import Loop
from mlbench.inside.project import GITIGNORE
from mlbench.project.config import find_project, load_project
from mlbench.project.layout import Layout
from mlbench.project.sample import copy_sample
from mlbench.project.scaffold import write_config
from mlbench.system.files import writable
from mlbench.system.locks import FileLock

_LOCK_TRIES = 3
_LOCK_PAUSE = 0.01


class Session:
    """A face's line to the loop: commands in, events out, whoever holds it.

    Whoever is attached takes the loop over when its holder goes.
    """

    def __init__(self, layout: Layout, *, from_start: bool = True) -> None:
        """Take the loop if it is free, else attach to its holder.

        FolderNotWritableError where the project's folder can't be written.
        """
        self.layout = layout
        self._loop: Loop | None = None
        self._lock = FileLock(layout.loop_lock)
        with writable(layout.root):
            prepare_folder(layout)
            is_holder = self._try_lock()
            self._follower = EventFollower(layout.events, from_start=from_start and not is_holder)
            if is_holder:
                self._hold()

    @property
    def holds_loop(self) -> bool:
        """Whether the loop runs in this process."""
        return self._loop is not None

    def send(self, command: Command) -> str:
        """Hand a command over; gives the id that its CommandDone will carry."""
        if self._loop is not None:
            return self._loop.send(command)
        with writable(self.layout.root):
            return inbox.put(self.layout.inbox, command)

    def send_again(self, command_id: str, command: Command) -> str:
        """Hand a command to the next holder, unless it waits for that in the inbox already."""
        if inbox.is_waiting(self.layout.inbox, command_id):
            return command_id
        return self.send(command)

    def look(self) -> None:
        """Have the tree looked at now; only the holder's own face can ask for it."""
        if self._loop is not None:
            self._loop.look()

    def poll(self, wait: float = 0.0) -> list[Event]:
        """Every event since the last call; takes the loop over if its holder is gone.

        Waits so many seconds for the first: where the loop is held here no longer than needed.
        """
        if self._loop is not None:
            return self._loop.heard(wait)
        events = self._follower.read()
        if self._lock.try_acquire():
            # What the holder before told last.
            events += self._follower.read()
            self._hold()
        elif wait and not events:
            time.sleep(wait)
        return events

    def close(self, *, leave_running: bool = False) -> tuple[str, ...]:
        """Let the loop go, after stopping what was started from here; or just detach.

        With `leave_running` nothing is stopped; what another terminal asked for never is. Gives
        the stages that go on so; the next holder of the loop goes on with them.
        """
        left: tuple[str, ...] = ()
        if self._loop is not None:
            left = self._loop.quit(leave_running=leave_running)
            self._loop = None
        self._lock.release()
        return left

    def _hold(self) -> None:
        self._loop = Loop(self.layout)
        self._loop.start()

    def _try_lock(self) -> bool:
        # A query that looks whether the loop is held takes the lock for an instant.
        for _ in range(_LOCK_TRIES):
            if self._lock.try_acquire():
                return True
            time.sleep(_LOCK_PAUSE)
        return False


def open_session(folder: Path, *, from_start: bool = True) -> Session:
    """A session on the project that a folder belongs to; UsageError where there is none."""
    return Session(find_project(folder), from_start=from_start)


def prepare_folder(layout: Layout) -> None:
    """Make the project's .mlbench, and the one that it shares, with a .gitignore of its own."""
    for folder in {layout.own, layout.shared}:
        folder.mkdir(exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text(GITIGNORE, encoding="utf-8")


def find_layout(folder: Path) -> Layout:
    """The files of the project that a folder belongs to; UsageError where there is none."""
    return find_project(folder)


def check_project(folder: Path) -> None:
    """Raise what is wrong with a project before a screen is opened on it."""
    load_project(find_project(folder))


def make_sample(target: Path) -> None:
    """Copy the sample to a new folder, with a first commit; UsageError where it is not empty."""
    copy_sample(target)


def start_project(root: Path) -> tuple[Path, list[str]]:
    """Write a first configuration; gives its path and its stages; UsageError where there is one."""
    with writable(root):
        return write_config(root)
