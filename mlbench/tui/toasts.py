"""Which events deserve a toast, and what it says: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mlbench.domain.commands import Command, Promote, Rollback
from mlbench.domain.events import CommandDone, Event, Notice, Promoted, TrafficChanged
from mlbench.domain.ledger import CANARY_ENDED
from mlbench.domain.names import friendly_name

Severity = Literal["information", "warning", "error"]
GATE_REFUSED = 3


@dataclass(frozen=True, slots=True)
class Toast:
    """One short message; `title` is empty where the message needs none."""

    message: str
    severity: Severity = "information"
    title: str = ""


def toasts_for(events: Iterable[Event], replies: Mapping[str, Command]) -> list[Toast]:
    """The toasts of a batch of events; only answers to this workbench's own commands are shown."""
    events = tuple(events)
    addresses = [event.address for event in events if isinstance(event, Promoted)]
    toasts: list[Toast] = []
    for event in events:
        if isinstance(event, Promoted):
            toasts.append(_promoted(event))
        elif isinstance(event, TrafficChanged) and event.action == CANARY_ENDED and event.why:
            name = f"{event.model} v{event.version} in {event.environment}"
            toasts.append(Toast(f"{name}: {event.why}", "warning", "Canary taken back"))
        elif isinstance(event, Notice) and event.level == "warn":
            # An error stays in the status line until it is mended, so it needs no toast.
            toasts.append(Toast(event.message, "warning"))
        elif isinstance(event, CommandDone) and event.command in replies and event.message:
            released = isinstance(replies[event.command], (Promote, Rollback))
            is_told = released and any(address in event.message for address in addresses)
            if event.exit_status or not is_told:
                toasts.append(_reply(event))
    return toasts


def _promoted(event: Promoted) -> Toast:
    again = " again" if event.action == "rollback" else ""
    has = "serves" if event.address else "has"
    served = f"{event.environment} {has} {event.model} v{event.version}{again}"
    title = "Rolled back" if event.action == "rollback" else "Promoted"
    where = f" at {event.address}" if event.address else ""
    return Toast(f"{served} ({friendly_name(event.run)}){where}", title=title)


def _reply(event: CommandDone) -> Toast:
    if event.exit_status == 0:
        return Toast(event.message)
    if event.exit_status == GATE_REFUSED:
        return Toast(event.message, "warning", "Not promoted")
    return Toast(event.message, "error")
