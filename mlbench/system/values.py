"""Values in files of their own, read as what they are or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from mlbench.domain.plain import from_plain
from mlbench.system.files import read_json

T = TypeVar("T")


def read_value(kind: type[T], path: Path) -> T | None:
    """The value in a JSON file; None where the file is missing or torn, or holds something else."""
    plain = read_json(path)
    return None if plain is None else value_in(kind, plain)


def value_in(kind: type[T], plain: Any) -> T | None:
    """The value that JSON tells of; None where that is something else."""
    try:
        return from_plain(kind, plain)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
