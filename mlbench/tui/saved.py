"""A file that a run saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Saved:
    """A figure, table or file that a stage of a run saved; `size` is in bytes."""

    stage: str
    name: str
    kind: str
    path: Path
    size: int
    step: int | None = None
