"""The space of a sweep: its order, which of its parameters a trial has, which values it allows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from mlbench.domain.expression import MissingFactError, evaluate, is_number, names_in, parse
from mlbench.domain.sweeps import Dimension, Range

_PARAMS = "params."
_SEEDS = ("seed", "random_state", "random_seed")
# As Optuna compares a value with the steps of a range.
_OFF_STEP = 1e-8


class SpaceCycleError(ValueError):
    """Conditions wait for each other in a circle; `names` walks it once, first repeated last."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Keep the circle for whoever phrases it."""
        super().__init__(" → ".join(names))
        self.names = names


def names_in_condition(when: str) -> frozenset[str]:
    """The parameters that a condition reads; ExpressionError where it is no expression."""
    if not when:
        return frozenset()
    return frozenset(name.removeprefix(_PARAMS) for name in names_in(parse(when)))


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Each value of a parameter by its dotted name: of a table all in it, else the one."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(f"{name}.{key}", item)
    else:
        yield name, value


def is_within(name: str, names: Iterable[str]) -> bool:
    """Whether a parameter is one of these, or in a table that is."""
    return any(name == one or name.startswith(f"{one}.") for one in names)


def in_order(space: Iterable[Dimension]) -> tuple[Dimension, ...]:
    """The space with each dimension after those that its condition names, else as it was written.

    SpaceCycleError where conditions wait for each other.
    """
    by_name = {dimension.name: dimension for dimension in space}
    waits = {
        name: {
            other
            for other in by_name
            if any(is_within(read, (other,)) for read in names_in_condition(dimension.when))
        }
        for name, dimension in by_name.items()
    }
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        raise SpaceCycleError(tuple(reversed(error.args[1]))) from None
    placed: dict[str, Dimension] = {}
    while len(placed) < len(by_name):
        name = next(name for name in by_name if name not in placed and waits[name] <= placed.keys())
        placed[name] = by_name[name]
    return tuple(placed.values())


def is_active(dimension: Dimension, values: Mapping[str, Any]) -> bool:
    """Whether a trial with these values has this parameter.

    They are those of the active dimensions before it, and of parameters that are not varied. One
    whose condition waits for a parameter that the trial has not, has it not either.
    ExpressionError where the condition's types don't fit.
    """
    if not dimension.when:
        return True
    # What is in a table counts as it was sampled, not as the params file has it.
    tables = (leaves(name, value) for name, value in values.items() if isinstance(value, Mapping))
    known = {**values, **{name: value for table in tables for name, value in table}}
    try:
        return bool(evaluate(parse(dimension.when), {"params": known}))
    except MissingFactError:
        return False


def active_values(space: Sequence[Dimension], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the parameters that a trial has in this space, which is in order.

    `values` are all that it runs with; those that the space does not have are for conditions.
    """
    names = {dimension.name for dimension in space}
    fixed = {name: value for name, value in values.items() if name not in names}
    active: dict[str, Any] = {}
    for dimension in space:
        if dimension.name in values and is_active(dimension, {**fixed, **active}):
            active[dimension.name] = values[dimension.name]
    return active


def contains(dimension: Dimension, value: Any) -> bool:
    """Whether a value is among those that a dimension allows."""
    allowed = dimension.range
    if allowed is None:
        return any(is_same(choice, value) for choice in dimension.choices)
    if not is_number(value) or not allowed.low <= value <= allowed.high:
        return False
    step = allowed.step or (1 if allowed.is_whole else None)
    if step is None:
        return True
    steps: float = (value - allowed.low) / step
    return abs(steps - round(steps)) < _OFF_STEP


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of a parameter are the same: 1 is 1.0, and not true; lists are tuples."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return set(one) == set(other) and all(is_same(one[key], other[key]) for key in one)
    equal: bool = one == other
    return equal and isinstance(one, bool) == isinstance(other, bool)


def problem_in_range(allowed: Range) -> str | None:
    """What is wrong with a range, in a phrase; None where nothing is."""
    low, high, step = allowed.low, allowed.high, allowed.step
    if not math.isfinite(low) or not math.isfinite(high):
        return "low and high must be finite numbers"
    if low >= high:
        return f"low ({low}) must be less than high ({high})"
    if allowed.log and step is not None:
        return "a logarithmic range has no step; leave one of the two out"
    if allowed.log and low <= 0:
        return f"a logarithmic range begins above 0, and low is {low}"
    if step is not None and not 0 < step <= high - low:
        return f"step ({step}) must be above 0 and no more than high - low"
    return None


def problem_in_choices(choices: Sequence[Any]) -> str | None:
    """What is wrong with choices, in a phrase; None where nothing is."""
    if not choices:
        return "there must be a choice at least"
    for at, choice in enumerate(choices):
        try:
            json.dumps(choice, allow_nan=False)
        except (TypeError, ValueError):
            return f"{choice} can't be a choice; numbers, text, true, false, lists and tables can"
        if any(is_same(choice, other) for other in choices[:at]):
            return f"{in_words(choice)} is there twice"
    return None


def described(dimension: Dimension) -> str:
    """The values of a dimension as `--over` takes them: `log(1e-05,0.1)`, `choice(32,64)`."""
    allowed = dimension.range
    if allowed is None:
        return f"choice({','.join(map(in_words, dimension.choices))})"
    kind = {
        (False, False): "float",
        (False, True): "int",
        (True, False): "log",
        (True, True): "logint",
    }[allowed.log, allowed.is_whole]
    numbers = [allowed.low, allowed.high, *([] if allowed.step is None else [allowed.step])]
    return f"{kind}({','.join(map(in_words, numbers))})"


def in_words(value: Any) -> str:
    """A value as TOML and `--over` have it."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(in_words, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key)} = {in_words(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def seeds_among(names: Iterable[str]) -> tuple[str, ...]:
    """The parameters that are seeds by their names, which repeats of a trial change."""
    return tuple(name for name in names if name.rpartition(":")[2].rpartition(".")[2] in _SEEDS)


def doubts(space: Iterable[Dimension], base: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each range of whole numbers where the params file has one that is not."""
    return tuple(
        f"{dimension.name} is {base[dimension.name]} in the params file, and {described(dimension)}"
        f" tries whole numbers alone; write low = {dimension.range.low}.0 for others"
        for dimension in space
        if dimension.range is not None
        and dimension.range.is_whole
        and isinstance(base.get(dimension.name), float)
        and not base[dimension.name].is_integer()
    )
