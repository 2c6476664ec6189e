"""The workbench's line to the loop: one thread that opens the session, sends and listens."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.commands import Command
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import CommandDone, Event

if TYPE_CHECKING:
    from mlbench.engine.session import Session

_POLL_SECONDS = 0.1


class _Order(Enum):
    """What is asked of the line itself."""

    LOOK = auto()
    CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Heard:
    """What happened since the last time, oldest first.

    `replies` maps the ids of this workbench's own commands among the events to what was asked.
    """

    events: tuple[Event, ...]
    replies: Mapping[str, Command] = field(default_factory=dict)
    holds_loop: bool = True


@dataclass(frozen=True, slots=True)
class LineLost:
    """The loop can't be reached, or a command can't be handed over."""

    error: MlbenchError
    is_final: bool


class Line:
    """Commands in, events out; `deliver` is called in the thread and has to be safe from there."""

    def __init__(self, folder: Path, deliver: Callable[[Heard | LineLost], object]) -> None:
        """Remember the folder; `start` opens the session."""
        self._folder = folder
        self._deliver = deliver
        self._commands: queue.SimpleQueue[Command | _Order] = queue.SimpleQueue()
        self._leaves_running = True
        self._sent: dict[str, Command] = {}
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)

    def start(self) -> None:
        """Open the session in the background and begin to listen."""
        self._thread.start()

    def send(self, command: Command) -> None:
        """Hand a command over, as soon as the session is open."""
        self._commands.put(command)

    def look(self) -> None:
        """Have the tree looked at now, if the loop is held here."""
        self._commands.put(_Order.LOOK)

    def close(self, *, stop_run: bool) -> None:
        """Let the loop go, what it runs stopped or left to go on, and wait for that."""
        self._leaves_running = self._leaves_running and not stop_run
        self._commands.put(_Order.CLOSE)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        # The engine's rooms take a while to import, and the first paint must not wait for them.
        from mlbench.engine.session import open_session

        try:
            session = open_session(self._folder)
        except MlbenchError as error:
            self._deliver(LineLost(error, is_final=True))
            return
        is_open = True
        held: bool | None = None
        try:
            while is_open:
                is_open = self._send_waiting(session)
                events = session.poll()
                if events or session.holds_loop != held:
                    held = session.holds_loop
                    self._deliver(Heard(tuple(events), self._replies(events), held))
        except MlbenchError as error:
            self._deliver(LineLost(error, is_final=True))
        except Exception as error:
            told = MlbenchError(
                f"the loop can't be followed any more: {error!r}; open mlbench again"
            )
            self._deliver(LineLost(told, is_final=True))
        finally:
            # A fault of ours stops nothing of the user's.
            session.close(leave_running=self._leaves_running)

    def _send_waiting(self, session: Session) -> bool:
        """Send what waits, for a moment; False once the line is to be closed."""
        try:
            command = self._commands.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return True
        if command is _Order.CLOSE:
            return False
        if isinstance(command, _Order):
            session.look()
            return True
        try:
            self._sent[session.send(command)] = command
        except MlbenchError as error:
            self._deliver(LineLost(error, is_final=False))
        return True

    def _replies(self, events: list[Event]) -> dict[str, Command]:
        return {
            event.command: self._sent.pop(event.command)
            for event in events
            if isinstance(event, CommandDone) and event.command in self._sent
        }
