"""mlbench.lock: what each stage was built from and gave, as text that git merges line by line.

One TOML line for each input, out and metric, sorted, so that a change of one input is a change of
one line, and two branches that changed different stages merge.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError
from mlbench.project.layout import LOCK_NAME
from mlbench.system.files import write_atomically

VERSION = 1
_HEAD = """\
# What each stage was built from and gave, as `mlbench lock` writes it and `mlbench run --locked`
# holds to it. After a merge write it anew rather than mend it.
"""
_REMEDY = "write it anew with `mlbench lock`"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CONFLICT = re.compile(r"^(<{7}|>{7}|={7}$|\|{7})", re.MULTILINE)
# Characters that TOML wants escaped where JSON does not.
_DELETE = "\x7f"


@dataclass(frozen=True, slots=True)
class LockedStage:
    """One stage: its inputs by `kind:name`, those that it was found to read, and what it gave."""

    inputs: Mapping[str, str]
    found: Mapping[str, str] = field(default_factory=dict)
    outs: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


Lock = Mapping[str, LockedStage]


def render(lock: Lock) -> str:
    """A lock as text: stable, whatever the order of what it is made from."""
    return "".join((_HEAD, f"version = {VERSION}\n", *_lines(lock)))


def parse(text: str) -> dict[str, LockedStage]:
    """The lock that a text stands for; ProjectFileError where it is none of this version."""
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        line = text.count("\n", 0, conflict.start()) + 1
        raise ProjectFileError(f"has git's conflict marks; {_REMEDY}", file=LOCK_NAME, line=line)
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProjectFileError(f"does not parse ({error}); {_REMEDY}", file=LOCK_NAME) from None
    if value.get("version") != VERSION:
        raise ProjectFileError(
            f"is of version {value.get('version')}, not {VERSION}; {_REMEDY}", file=LOCK_NAME
        )
    try:
        return {name: _stage(table) for name, table in value.get("stages", {}).items()}
    except (AttributeError, TypeError, ValueError):
        raise ProjectFileError(f"has a stage of another shape; {_REMEDY}", file=LOCK_NAME) from None


def read_lock(path: Path) -> dict[str, LockedStage]:
    """The lock of a project; ProjectFileError where there is none, or none that can be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectFileError(
            "there is no such file; `mlbench lock` writes it", file=LOCK_NAME
        ) from None
    except UnicodeDecodeError:
        raise ProjectFileError(f"is not UTF-8 text; {_REMEDY}", file=LOCK_NAME) from None
    return parse(text)


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a lock; False where the file says just that already, and is left alone."""
    text = render(lock).encode()
    if path.is_file() and path.read_bytes() == text:
        return False
    write_atomically(path, text)
    path.chmod(0o644)
    return True


def as_text(name: str) -> str:
    """A name or value as the lock can hold it: what is no UTF-8 is written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _lines(lock: Lock) -> Iterator[str]:
    for name in sorted(lock):
        stage = lock[name]
        tables: dict[str, Mapping[str, str | float]] = {
            "inputs": stage.inputs,
            "found": stage.found,
            "outs": stage.outs,
            "metrics": stage.metrics,
        }
        yield f"\n[stages.{_key(name)}]\n"
        for title, table in tables.items():
            if table:
                yield f"\n[stages.{_key(name)}.{title}]\n"
                for key, value in sorted(table.items()):
                    yield f"{_key(key)} = {_value(value)}\n"


def _stage(table: Mapping[str, Any]) -> LockedStage:
    inputs, found, outs = (
        {key: _text(value) for key, value in table.get(title, {}).items()}
        for title in ("inputs", "found", "outs")
    )
    metrics = {key: float(value) for key, value in table.get("metrics", {}).items()}
    return LockedStage(inputs, found, outs, metrics)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if math.isfinite(value):
        return repr(float(value))
    return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"


def _quoted(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for one character."""
    return json.dumps(as_text(text), ensure_ascii=False).replace(_DELETE, "\\u007f")
