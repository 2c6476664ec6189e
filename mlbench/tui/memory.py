"""What the workbench remembers for the next day: theme, screen, columns, sort, filter."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Memory:
    """One project's choices; theme and columns are empty until some were chosen."""

    theme: str = ""
    screen: str = "pipeline"
    runs_sort: str = ""
    runs_descending: bool = True
    runs_everything: bool = False
    runs_filter: str = ""
    runs_columns: tuple[str, ...] = ()
    runs_only_differences: bool = False


def load_memory(path: Path) -> Memory:
    """What was saved; the defaults for whatever is missing or broken."""
    try:
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Memory()
    if not isinstance(plain, dict):
        return Memory()
    found = {
        field.name: _as_kept(plain[field.name], field.default)
        for field in fields(Memory)
        if field.name in plain
    }
    return Memory(**{name: value for name, value in found.items() if value is not None})


def _as_kept(value: Any, default: Any) -> Any:
    """A saved value, or None where it is none that could have been saved here."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value) if all(isinstance(item, str) for item in value) else None
    return value if isinstance(value, type(default)) else None


def save_memory(path: Path, memory: Memory) -> None:
    """Replace the file as a whole; a folder that can't be written costs the memory alone."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(asdict(memory), indent=1), encoding="utf-8")
        temporary.replace(path)
