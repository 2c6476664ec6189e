"""Reads what the scripts of a stage said besides metrics, whatever became of them meanwhile."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import Any

from mlbench.domain.records import dataclass
from mlbench.domain.runs import Scalar
from mlbench.inside.logged import ARTIFACTS_NAME, PREFIX, SUFFIX

_KEPT = ("artifact", "figure", "table")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or folder that a script kept; `kind` is artifact, figure or table, `size` in bytes."""

    name: str
    kind: str
    path: Path
    step: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Logged:
    """All that was said: what was said again counts as it was said last.

    `params` are flat, `tags` words and `key=value`, and `sections` in the order of their beginning.
    """

    params: Mapping[str, Scalar] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    sections: tuple[str, ...] = ()


def read_logged(stage_folder: Path) -> Logged:
    """What was said in a stage's folder, by all its processes; lines that are none are left out."""
    params: dict[str, Scalar] = {}
    tags: dict[str, str] = {}
    artifacts: dict[tuple[str, str, int | None], Artifact] = {}
    sections: list[str] = []
    for record in _records(stage_folder):
        kind = record["kind"]
        if kind == "params":
            params |= _params(record.get("params"))
        elif kind == "tags":
            tags |= _tags(record.get("tags"))
        elif kind == "section" and isinstance(record.get("name"), str):
            sections.append(record["name"])
        elif kind in _KEPT:
            artifact = _artifact(stage_folder, record)
            if artifact is not None:
                artifacts[artifact.kind, artifact.name, artifact.step] = artifact
    return Logged(params, tuple(tags.values()), tuple(artifacts.values()), tuple(sections))


def _records(stage_folder: Path) -> list[dict[str, Any]]:
    """The lines of all files that say what they are and when, in the order of time."""
    found = [
        record
        for path in sorted(stage_folder.glob(f"{PREFIX}*{SUFFIX}"))
        for record in _lines(path)
        if isinstance(record.get("kind"), str) and _is_number(record.get("at"))
    ]
    return sorted(found, key=lambda record: record["at"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        data = path.read_bytes()
    except OSError:
        return
    # What follows the last newline is still being written.
    for line in data.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict):
                yield record


def _params(given: Any) -> dict[str, Scalar]:
    if not isinstance(given, dict):
        return {}
    return {
        name: value
        for name, value in given.items()
        if value is None or isinstance(value, (str, int, float))
    }


def _tags(given: Any) -> dict[str, str]:
    """The tags by what they replace: `team=vision` every other value of `team`."""
    words = [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
    return {"".join(tag.partition("=")[:2]): tag for tag in words}


def _artifact(stage_folder: Path, record: Mapping[str, Any]) -> Artifact | None:
    name, path, size = record.get("name"), record.get("path"), record.get("size")
    if not (isinstance(name, str) and isinstance(path, str) and isinstance(size, int)):
        return None
    # A damaged line must not lead to other files than a script's own.
    parts = PurePosixPath(path).parts
    if parts[:1] != (ARTIFACTS_NAME,) or ".." in parts or "\0" in path:
        return None
    step = record.get("step")
    return Artifact(
        name,
        record["kind"],
        stage_folder / path,
        step if isinstance(step, int) else None,
        size,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not math.isnan(value)
