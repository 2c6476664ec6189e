"""What a shadow's process counts, and the file in which it tells its supervisor."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import orjson

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.records import dataclass
from mlbench.project.layout import Layout

_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Counted:
    """How the answers of one model's shadow compare, as ShadowState has it."""

    model: str
    version: int
    live: int
    compared: int = 0
    flips: int = 0
    failed: int = 0
    dropped: int = 0
    max_abs_error: float = 0.0
    why: str = ""


def counted_file(layout: Layout, environment: str) -> Path:
    """Where the process writes what it counted."""
    return layout.shadows(environment).with_name("counted.json")


def pairs_file(layout: Layout, environment: str) -> Path:
    """Where the supervisor writes which versions are to be compared."""
    return layout.shadows(environment).with_name("pairs.json")


def read_counted(file: Path) -> dict[str, Counted]:
    """What was counted, by model; nothing where there is no such file yet."""
    try:
        plain = orjson.loads(file.read_bytes())
        return {item["model"]: from_plain(Counted, item) for item in plain}
    except (OSError, *_MALFORMED):
        return {}


def write_counted(file: Path, counted: Iterable[Counted]) -> None:
    """Replace the file as a whole; a count that a power cut takes is no loss worth a sync."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(orjson.dumps(to_plain(list(counted))))
    os.replace(fresh, file)
