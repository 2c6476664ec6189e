"""Events and commands as the JSON objects that the event file, the inbox and `--json` hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlbench.domain.commands import COMMANDS, Command
from mlbench.domain.events import EVENTS, Event
from mlbench.domain.plain import from_plain, to_plain


def event_to_plain(event: Event) -> dict[str, Any]:
    """An event as the one JSON object that `--json` and the event file hold."""
    return {"event": event.event, **to_plain(event)}


def event_from_plain(plain: Mapping[str, Any]) -> Event:
    """The event of this object; KeyError for an unknown kind, ValueError for a broken one."""
    return from_plain(EVENTS[plain["event"]], plain)


def command_to_plain(command: Command) -> dict[str, Any]:
    """A command as the JSON object that the inbox holds."""
    return {"command": command.command, **to_plain(command)}


def command_from_plain(plain: Mapping[str, Any]) -> Command:
    """The command of this object; KeyError for an unknown kind, ValueError for a broken one."""
    return from_plain(COMMANDS[plain["command"]], plain)
