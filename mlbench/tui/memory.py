"""What the workbench remembers for the next day: theme, sort, filter."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Memory:
    """One project's choices in the workbench; the theme is empty until one was chosen."""

    theme: str = ""
    screen: str = "pipeline"
    runs_sort: str = ""
    runs_descending: bool = True
    runs_everything: bool = False
    runs_filter: str = ""


def load_memory(path: Path) -> Memory:
    """What was saved; the defaults for whatever is missing or broken."""
    try:
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Memory()
    if not isinstance(plain, dict):
        return Memory()
    default = Memory()
    known = {
        field.name: plain[field.name]
        for field in fields(Memory)
        if isinstance(plain.get(field.name), type(getattr(default, field.name)))
    }
    return Memory(**known)


def save_memory(path: Path, memory: Memory) -> None:
    """Replace the file as a whole; a folder that can't be written costs the memory alone."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(asdict(memory), indent=1), encoding="utf-8")
        temporary.replace(path)
