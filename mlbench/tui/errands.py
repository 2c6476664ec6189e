"""What the loop does for this workbench just now, in words for the status line: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mlbench.domain.commands import (
    Command,
    EndTrial,
    ExportRun,
    Promote,
    Rollback,
    SetTraffic,
    StartCanary,
    StartShadow,
)
from mlbench.domain.errors import GateRefusedError
from mlbench.domain.events import CommandDone, Event, Notice, Promoted
from mlbench.domain.names import friendly_name
from mlbench.tui.situation import Refused

_SLOW = (Promote, Rollback, ExportRun, SetTraffic, StartCanary, StartShadow, EndTrial)


@dataclass(frozen=True, slots=True)
class Errands:
    """The commands that were handed over and not answered, oldest first, and how far one is."""

    waiting: tuple[Command, ...] = ()
    step: str = ""

    @property
    def text(self) -> str:
        """What to show; nothing where nothing is waited for."""
        if not self.waiting:
            return ""
        return f"{_told(self.waiting[0])}{f': {self.step}' if self.step else ''} …"


def sent(errands: Errands, command: Command) -> Errands:
    """After a command was handed over; only those that take a while are waited for."""
    if not isinstance(command, _SLOW):
        return errands
    return replace(errands, waiting=(*errands.waiting, command))


def heard(errands: Errands, events: Iterable[Event], replies: Mapping[str, Command]) -> Errands:
    """After events: the last word of the loop is how far it is, and an answer ends an errand."""
    if not errands.waiting:
        return errands
    step = errands.step
    for event in events:
        if isinstance(event, Notice) and event.level == "info":
            step = event.message.rstrip(" …")
        elif isinstance(event, Promoted) and event.address:
            step = f"v{event.version} answers at {event.address}"
    waiting = list(errands.waiting)
    for command in replies.values():
        if command in waiting:
            waiting.remove(command)
            step = ""
    return Errands(tuple(waiting), step)


def refusals(
    known: Mapping[Refused, str], events: Iterable[Event], replies: Mapping[str, Command]
) -> Mapping[Refused, str]:
    """Which promotions and canaries gates or rules refused, after more answers to this workbench.

    A canary is judged as the promotion that it ends in.
    """
    found = dict(known)
    for event in events:
        command = replies.get(event.command) if isinstance(event, CommandDone) else None
        if isinstance(event, CommandDone) and isinstance(command, Promote | StartCanary):
            what = (command.environment, command.model or "", command.which or "")
            found.pop(what, None)
            if event.exit_status == GateRefusedError.exit_status:
                found[what] = event.message
    return found


def _told(command: Command) -> str:
    match command:
        case Promote(environment, model, which):
            version = f" v{which}" if which and which.isdecimal() else ""
            how = "promoting by force" if command.force else "promoting"
            return f"{how} {model or 'the model'}{version} to {environment}"
        case Rollback(environment, model):
            return f"rolling back {model or 'the model'} in {environment}"
        case SetTraffic(environment, model):
            return f"sharing the requests for {model} in {environment}"
        case StartCanary(environment, model, which) | StartShadow(environment, model, which):
            version = f" v{which}" if which and which.isdecimal() else ""
            return f"starting the {command.command} {model or 'model'}{version} in {environment}"
        case EndTrial(kind, environment, model):
            return f"ending the {kind} of {model or 'the model'} in {environment}"
        case ExportRun(run):
            return f"exporting {_name(run)}"
        case _:
            return command.command


def _name(run: str) -> str:
    try:
        return friendly_name(run)
    except ValueError:
        return run
