"""`[sweeps.NAME.space]` tables to dimensions: what each parameter may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlbench.domain.expression import ExpressionError
from mlbench.domain.spaces import (
    SpaceCycleError,
    in_order,
    names_in_condition,
    problem_in_choices,
    problem_in_range,
)
from mlbench.domain.sweeps import Dimension, Range
from mlbench.project import keys
from mlbench.project.fields import Table


def read_space(table: Table) -> tuple[Dimension, ...]:
    """The dimensions of a table, each after those that its condition names.

    ProjectFileError for an unknown key, a wrong value or a circle of conditions.
    """
    space: dict[str, Dimension] = {}
    for name, value in _parameters(table.value):
        if name in space:
            table.fail(name, "is there twice")
        space[name] = _dimension(table, name, value)
    if not space:
        table.fail("", 'a sweep needs a parameter to vary, as "train.alpha" = [0.1, 0.2]')
    try:
        return in_order(space.values())
    except SpaceCycleError as error:
        table.fail(error.names[0], f"conditions wait for each other in a circle: {error}")


def _parameters(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each parameter by its dotted name, whether that is quoted or TOML's dots made tables."""
    for key, item in value.items():
        if _holds_parameters(item):
            yield from _parameters(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _holds_parameters(value: Any) -> bool:
    """Whether it is a table of parameters, rather than what one parameter may be."""
    return (
        isinstance(value, dict)
        and bool(value)
        and "choices" not in value
        and all(isinstance(item, (dict, list)) for item in value.values())
    )


def _dimension(space: Table, name: str, value: Any) -> Dimension:
    if isinstance(value, list):
        return Dimension(name, choices=_choices(space, name, value))
    if not isinstance(value, dict):
        space.fail(name, "must be a list of choices, or a table such as { low = 1, high = 10 }")
    table = Table(space.file, f"{space.where}.{name}", value)
    table.file.refuse_unknown(value, keys.DIMENSION, table.where)
    when = _when(table, name)
    if "choices" not in value:
        return Dimension(name, range=_range(table), when=when)
    if len(value.keys() - {"when"}) > 1:
        table.fail("choices", "are all that there is; take low, high, log and step out")
    if not isinstance(value["choices"], list):
        table.fail("choices", "must be a list")
    return Dimension(name, choices=_choices(table, "choices", value["choices"]), when=when)


def _when(table: Table, name: str) -> str:
    text = table.text("when")
    if text is None:
        return ""
    try:
        names = names_in_condition(text)
    except ExpressionError as error:
        table.fail("when", f'"{text}": {error}')
    if not names:
        table.fail("when", f'"{text}" names no parameter that it could depend on')
    if name in names:
        table.fail("when", f'"{text}" depends on {name} itself')
    return text


def _choices(table: Table, key: str, value: list[Any]) -> tuple[Any, ...]:
    problem = problem_in_choices(value)
    if problem is not None:
        table.fail(key, problem)
    return tuple(value)


def _range(table: Table) -> Range:
    """Whole numbers where all that is written is whole: 1.0 is the way to say that it is not."""
    for key in ("low", "high"):
        if key not in table.value:
            table.fail(key, f"a range needs {key}; choices are written as a list")
    numbers = {key: table.value[key] for key in ("low", "high", "step") if key in table.value}
    for key, number in numbers.items():
        if type(number) not in (int, float):
            table.fail(key, "must be a number")
    is_whole = all(type(number) is int for number in numbers.values())
    if not is_whole:
        numbers = {key: float(number) for key, number in numbers.items()}
    wanted = Range(**numbers, log=table.flag("log", False), is_whole=is_whole)
    problem = problem_in_range(wanted)
    if problem is not None:
        table.fail("", problem)
    return wanted
