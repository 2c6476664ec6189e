"""A trial that somebody asks for: values as they are typed, held to the space; pure."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.phrases import number
from mlbench.domain.sweeps import Dimension, Range, Sweep
from mlbench.project.assignments import Assignment, parse_assignment, value_like

_LEAST = 1e-9


def read_trial(sweep: Sweep, texts: Iterable[str]) -> dict[str, Any]:
    """What `KEY=VALUE` says, as EnqueueTrial takes it; names that are not there are sampled.

    UsageError for a name that the space does not have, or a value outside of it.
    """
    space = {dimension.name: dimension for dimension in sweep.space}
    params: dict[str, Any] = {}
    for text in texts:
        assignment = parse_assignment(text)
        name = f"{assignment.file}:{assignment.key}" if assignment.file else assignment.key
        if name not in space:
            raise UsageError(f"sweep {sweep.name} does not vary {name}{nearest(name, space)}")
        params[name] = _value(space[name], assignment)
    return params


def _value(dimension: Dimension, assignment: Assignment) -> Any:
    if dimension.range is not None:
        return _number(dimension.name, dimension.range, assignment.text)
    for choice in dimension.choices:
        with contextlib.suppress(UsageError):
            value = value_like(choice, assignment)
            if value == choice and isinstance(value, bool) == isinstance(choice, bool):
                return choice
    known = ", ".join(json.dumps(choice, ensure_ascii=False) for choice in dimension.choices)
    raise UsageError(f'{dimension.name} is one of {known}, and not "{assignment.text}"')


def _number(name: str, of: Range, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f'{name} is a number, and "{text}" is none') from None
    if not of.low <= value <= of.high:
        raise UsageError(f"{name} goes from {number(of.low)} to {number(of.high)}, not to {text}")
    if of.is_whole and not value.is_integer():
        raise UsageError(f"{name} is a whole number, and {text} is none")
    if of.step:
        steps = (value - of.low) / of.step
        if abs(steps - round(steps)) > _LEAST * max(1.0, abs(steps)):
            step, low = number(of.step), number(of.low)
            raise UsageError(f"{name} goes from {low} in steps of {step}, which {text} is none of")
    return int(value) if of.is_whole else value
