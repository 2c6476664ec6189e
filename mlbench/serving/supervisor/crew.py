"""The worker processes of one server: started, listened to, replaced, ended."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlbench.serving.control import Finish, Loading, Message, Ping, Prepared
from mlbench.serving.logging_lines import log, pass_on
from mlbench.serving.supervisor.happenings import Death
from mlbench.serving.supervisor.pacing import pause
from mlbench.serving.supervisor.process import WorkerProcess
from mlbench.system.proctable import start_time

_PING_SECONDS = 1.0
# Pings that may go unanswered: by one that answers clients, and by one that starts.
_PATIENCE, _START_PATIENCE = 10, 120
# How long one that loads without end may take to end what it has under way.
_GRACE_SECONDS = 5.0
_LAST_WORDS = 300


class Office(Protocol):
    """Who hears of the workers."""

    def started(self, index: int) -> None:
        """A worker process began."""

    def heard(self, index: int, message: Message) -> None:
        """A worker said something."""

    def left(self, index: int, death: Death | None) -> None:
        """A worker is gone, or about to go as it was told, which is no death."""

    def load_seconds(self, index: int) -> float | None:
        """How long what a worker loads may take; None where it loads nothing."""


@dataclass
class _Place:
    """One worker's place: who has it, and how often in a row one died here before it served."""

    process: WorkerProcess | None = None
    has_served: bool = False
    failures: int = 0
    start_at: float = 0.0
    why: str = ""
    birth: str = ""
    is_leaving: bool = False
    kill_by: float | None = None
    load_pings: int = 0


class Crew:
    """Keeps `size` workers running."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        office: Office,
    ) -> None:
        """Workers are started by this command, once `tick` is called; `office` hears of them."""
        self.size = 0
        self.restarts = 0
        self._command = command
        self._folder = folder
        self._listener = listener
        self._selector = selector
        self._office = office
        self._places: dict[int, _Place] = {}
        self._ping_at = 0.0
        self._is_finishing = False

    @property
    def pids(self) -> dict[int, int]:
        """The process ids of those that are there, by worker."""
        return {
            index: place.process.pid
            for index, place in self._places.items()
            if place.process is not None
        }

    @property
    def births(self) -> dict[str, str]:
        """When each process started, in the system's own words, by its id."""
        return {
            str(place.process.pid): place.birth
            for place in self._places.values()
            if place.process is not None
        }

    @property
    def failing(self) -> str:
        """Why workers die again and again before they answer; empty where they don't."""
        failing = [place for place in self._places.values() if place.failures > 1]
        if not failing:
            return ""
        return f"a worker died {failing[0].failures} times as it began: {failing[0].why}"

    def resize(self, size: int, seconds: float) -> None:
        """Have so many workers from now on; those beyond may end within so many seconds."""
        self.size = size
        for index, place in list(self._places.items()):
            if index >= size:
                self._dismiss(index, place, seconds)

    def finish(self, seconds: float) -> None:
        """Start no more workers, and have all end within so many seconds."""
        self._is_finishing = True
        for index, place in list(self._places.items()):
            self._dismiss(index, place, seconds)

    def served(self, index: int) -> None:
        """Note that a worker answers clients now."""
        place = self._places[index]
        place.has_served, place.failures, place.why = True, 0, ""

    def send(self, index: int, message: Message) -> None:
        """Tell a worker something; one that is gone hears nothing."""
        place = self._places.get(index)
        if place is not None and place.process is not None:
            place.process.send(message)
            self._watch(index, place.process)

    def tick(self, now: float) -> None:
        """Start who is due, kill who overstays, and ask whether they are there."""
        self._start_who_is_due()
        for index, place in list(self._places.items()):
            if place.process is not None and place.kill_by is not None and now >= place.kill_by:
                log("worker_killed", worker=index, pid=place.process.pid, why="it did not end")
                place.kill_by = None
                place.process.kill()
        if now >= self._ping_at:
            self._ping_at = now + _PING_SECONDS
            self._ping()

    def _ping(self) -> None:
        for index, place in self._places.items():
            process = place.process
            if process is None or place.is_leaving or process.hung:
                continue
            # Pings are counted, not seconds: while this process stood still, nobody asked.
            load = self._office.load_seconds(index)
            place.load_pings = 0 if load is None else place.load_pings + 1
            if load is not None and place.load_pings * _PING_SECONDS > load:
                self._give_up(index, place, f"it was not done after {load:.0f} s")
                continue
            patience = _PATIENCE if place.has_served else _START_PATIENCE
            if process.unanswered >= max(patience, (load or 0.0) / _PING_SECONDS):
                log("worker_killed", worker=index, pid=process.pid, why="it does not answer")
                process.hung = "it answered nothing any more"
                process.kill()
                continue
            process.unanswered += 1
            self.send(index, Ping())

    def _give_up(self, index: int, place: _Place, why: str) -> None:
        """End one that loads without end, but answers clients still."""
        assert place.process is not None
        log("worker_given_up", worker=index, pid=place.process.pid, why=why)
        place.process.hung = why
        place.kill_by = time.monotonic() + _GRACE_SECONDS + 1.0
        self.send(index, Finish(_GRACE_SECONDS))

    def _start(self, index: int, place: _Place) -> None:
        words = [*self._command, "--index", str(index)]
        try:
            process = WorkerProcess(words, self._folder, self._listener, index)
        except OSError as error:
            self._failed(place, f"it can't be started ({error.strerror})")
            return
        place.process, place.has_served, place.load_pings = process, False, 0
        place.birth = start_time(process.pid) or ""
        self._selector.register(
            process.control, selectors.EVENT_READ, lambda events: self._talk(index, process, events)
        )
        self._selector.register(
            process.output, selectors.EVENT_READ, lambda _: self._hear_output(process)
        )
        self._office.started(index)

    def _talk(self, index: int, process: WorkerProcess, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            process.flush()
            self._watch(index, process)
        if not events & selectors.EVENT_READ:
            return
        try:
            messages, is_there = process.receive()
        except (ValueError, KeyError, TypeError) as error:
            log("worker_killed", worker=index, pid=process.pid, why=f"it talks nonsense: {error}")
            messages, is_there = [], False
        for message in messages:
            process.unanswered = 0
            if isinstance(message, Loading | Prepared):
                self._places[index].load_pings = 0
            if not self._places[index].is_leaving:
                self._office.heard(index, message)
        if not is_there:
            self._bury(index, process)

    def _watch(self, index: int, process: WorkerProcess) -> None:
        """Wait until more can be sent only while there is more."""
        place = self._places[index]
        if place.process is not process:
            return
        more = selectors.EVENT_WRITE if process.has_more_to_send else 0
        key = self._selector.get_key(process.control)
        if key.events != selectors.EVENT_READ | more:
            self._selector.modify(process.control, selectors.EVENT_READ | more, key.data)

    def _hear_output(self, process: WorkerProcess) -> None:
        lines, may_say_more = process.said()
        for line in lines:
            _pass_on(process, line)
        if not may_say_more:
            self._selector.unregister(process.output)

    def _bury(self, index: int, process: WorkerProcess) -> None:
        place = self._places[index]
        self._selector.unregister(process.control)
        process.end()
        if process.output in self._selector.get_map():
            self._hear_output(process)
        if process.output in self._selector.get_map():
            self._selector.unregister(process.output)
        death = process.bury()
        place.process, place.kill_by = None, None
        if place.is_leaving or self._is_finishing:
            place.is_leaving = False
            place.failures, place.start_at = 0, 0.0
            return
        words = " ".join(process.last_words)[-_LAST_WORDS:]
        log("worker_died", worker=index, pid=process.pid, how=death.words, last_words=words)
        self.restarts += 1
        if not place.has_served:
            self._failed(place, f"{death.words}; its last words: {words or 'none'}")
        self._office.left(index, death)
        self._start_who_is_due()

    def _start_who_is_due(self) -> None:
        now = time.monotonic()
        for index in range(0 if self._is_finishing else self.size):
            place = self._places.setdefault(index, _Place())
            if place.process is None and now >= place.start_at:
                self._start(index, place)

    def _failed(self, place: _Place, why: str) -> None:
        place.failures += 1
        place.why = why
        place.start_at = time.monotonic() + pause(place.failures)

    def _dismiss(self, index: int, place: _Place, seconds: float) -> None:
        """Have a worker end; one that serves nobody yet ends at once."""
        if place.process is None or place.is_leaving:
            return
        place.is_leaving = True
        place.kill_by = time.monotonic() + seconds + 1.0
        self._office.left(index, None)
        if place.has_served:
            self.send(index, Finish(seconds))
        else:
            place.process.kill()


def _pass_on(process: WorkerProcess, line: str) -> None:
    """A worker's JSON lines as they are; what libraries print as a line of ours."""
    try:
        is_ours = isinstance(json.loads(line), dict)
    except ValueError:
        is_ours = False
    if is_ours:
        pass_on(line)
    else:
        log("worker_said", worker=process.index, pid=process.pid, text=line)
