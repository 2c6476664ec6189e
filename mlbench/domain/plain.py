"""Domain values to and from plain JSON values, by their type hints alone."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from mlbench.domain.commands import COMMANDS, Command
from mlbench.domain.events import EVENTS, Event

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """Dataclasses become objects, enums their word, tuples lists."""
    if isinstance(value, Enum):
        return value.word if hasattr(value, "word") else value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], plain: Any) -> T:
    """The value of this dataclass; unknown keys are ignored, ValueError where one is missing."""
    return typing.cast(T, _read(kind, plain))


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


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(kind: Any, plain: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, plain)
    if origin is tuple:
        return tuple(_read(arguments[0], item) for item in plain)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _read(arguments[1], item) for key, item in plain.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, plain)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind.of(plain)  # type: ignore[attr-defined]
    return plain


def _read_union(arguments: tuple[Any, ...], plain: Any) -> Any:
    if plain is None and type(None) in arguments:
        return None
    structured = [kind for kind in arguments if kind is not type(None)]
    return _read(structured[0], plain) if len(structured) == 1 else plain


def _read_dataclass(kind: type, plain: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    known = {
        field.name: _read(hints[field.name], plain[field.name])
        for field in dataclasses.fields(kind)
        if field.name in plain
    }
    try:
        return kind(**known)
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from None
