"""`train.alpha=0.1`: a parameter and its value as somebody types them."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import Any

from mlbench.domain.errors import UsageError

_KEYWORDS = {"true": True, "false": False, "null": None, "none": None}
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    ((list, tuple), "a list, as [1, 2]"),
    (datetime.datetime, "a date with a time"),
    (datetime.date, "a date"),
    (datetime.time, "a time"),
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A parameter by its dotted key, the params file that it is in, and its value as typed.

    No file means the project's own.
    """

    key: str
    text: str
    file: str | None = None


def parse_assignment(text: str) -> Assignment:
    """What `[FILE:]KEY=VALUE` says; UsageError where it is none."""
    place, equals, value = text.partition("=")
    file, colon, key = place.rpartition(":")
    key = key.strip()
    if not equals or not key or (colon and not file):
        raise UsageError(f'"{text}" sets nothing; write KEY=VALUE, as train.alpha=0.1')
    return Assignment(key, value.strip(), file or None)


def value_like(present: Any, assignment: Assignment) -> Any:
    """The value that is meant where `present` stands, which decides of what type it is.

    A text takes what is typed as it is, but for its quotes; a number takes a number, whole where
    it is whole itself and the typed one is; a list takes a list. Nothing stands for anything, and
    may be put anywhere. UsageError for a value of another type.
    """
    typed = literal(assignment.text)
    if isinstance(present, str):
        is_quoted = isinstance(typed, str) and assignment.text[:1] in ("'", '"')
        return typed if is_quoted else assignment.text
    if present is None or typed is None:
        return typed
    for kind, meaning in _KINDS:
        if isinstance(present, kind):
            if not isinstance(typed, kind) or isinstance(typed, bool) != (kind is bool):
                raise UsageError(f'{assignment.key} is {meaning}, and "{assignment.text}" is none')
            return _of_type(present, typed)
    return typed


def _of_type(present: Any, literal: Any) -> Any:
    if isinstance(present, (list, tuple)):
        only_floats = bool(present) and all(isinstance(item, float) for item in present)
        items = [float(i) if only_floats and type(i) is int else i for i in literal]
        return tuple(items) if isinstance(present, tuple) else items
    if isinstance(present, float):
        return float(literal)
    if isinstance(present, int) and isinstance(literal, float) and literal.is_integer():
        return int(literal)
    return literal


def literal(text: str) -> Any:
    """The value of a word as typed, of TOML or JSON; what is neither is text."""
    # Any project file is read with it, and who sets nothing does not wait for it here.
    import tomllib

    if text.lower() in _KEYWORDS:
        return _KEYWORDS[text.lower()]
    try:
        value = tomllib.loads(f"value = {text}")
        if list(value) == ["value"]:
            return value["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def plain(value: Any) -> Any:
    """A value as JSON has it, so that it can be handed to another process."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value


def revived(present: Any, value: Any) -> Any:
    """What `plain` made of a value, as it was, by what stands in its place now."""
    if isinstance(present, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(present, (datetime.date, datetime.time)) and isinstance(value, str):
        return type(present).fromisoformat(value)
    return value
