"""Whether options fit a class of Optuna's: their names, and what its signature says of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from mlbench.domain.errors import SweepError, nearest

# What mlbench gives by itself, and where it comes from.
_OURS = {
    "constraints_func": "write constraints = [...] in the sweep instead",
    "search_space": "it is the sweep's own space",
}
_PLAIN: Mapping[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
    "dict": ((dict,), "a table"),
}
# Options that are samplers, pruners and parts of them.
PARTS = ("BaseSampler", "BasePruner", "BaseCrossover", "BaseMutation")


def parameters(kind: type) -> dict[str, inspect.Parameter]:
    """The options of a class, by name."""
    found = inspect.signature(kind).parameters
    # A class without a constructor has the one of object, which says nothing.
    return {
        name: one
        for name, one in found.items()
        if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
    }


def check_options(kind: type, options: Mapping[str, Any], given: tuple[str, ...] = ()) -> None:
    """SweepError for the first option that the class does not have, lacks, or can't take.

    `given` are those that mlbench adds.
    """
    known = parameters(kind)
    for name, value in options.items():
        if name in _OURS and name in known:
            raise SweepError(f"{kind.__name__} takes no {name} here: {_OURS[name]}")
        if name not in known:
            names = [one for one in known if one not in _OURS]
            listed = f"it has {', '.join(names)}" if names else "it has none"
            raise SweepError(
                f"{kind.__name__} has no option {name}{nearest(name, names)}; {listed}"
            )
        _check_value(kind, known[name], value)
    for name, one in known.items():
        is_needed = one.default is one.empty and "None" not in str(one.annotation)
        if is_needed and name not in options and name not in given:
            raise SweepError(f"{kind.__name__} needs its option {name}")


def part_of(kind: type, name: str) -> str:
    """The kind of part that an option of a class is, as `BasePruner`; or nothing."""
    annotation = str(parameters(kind)[name].annotation)
    words = re.findall(r"\w+", annotation)
    if "Callable" in annotation:
        return ""
    return next((part for part in PARTS if part in words), "")


def _check_value(kind: type, option: inspect.Parameter, value: Any) -> None:
    if part_of(kind, option.name):
        return
    words = re.findall(r"\w+", re.sub(r"\[.*\]", "", str(option.annotation)))
    plain = [_PLAIN[word] for word in words if word in _PLAIN]
    if not plain:
        raise SweepError(
            f"{kind.__name__}: {option.name} is Python code, which mlbench.toml can't give"
        )
    wants_bool = "bool" in words
    for types, _ in plain:
        if isinstance(value, types) and isinstance(value, bool) <= wants_bool:
            return
    wanted = " or ".join(text for _, text in plain)
    raise SweepError(f"{kind.__name__}: {option.name} is {wanted}, not {value!r}")
