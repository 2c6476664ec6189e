"""Compiled modules that Python would take for current though they are not."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlbench.pipeline.digests import stat_of

# Compiling may begin before an edit and end after it, within the same second.
_LONGEST_COMPILE_NS = 2_000_000_000


def drop_stale_bytecode(root: Path, names: Iterable[str]) -> None:
    """Remove the .pyc files of these modules that were not compiled well after the last touch.

    Python knows a source's version by its size and the second of its mtime alone, so that an edit
    of the same size within a second, or one that keeps its mtime, would run OLD code.
    """
    for name in names:
        source = stat_of(root / name)
        for bytecode in _compiled(root / name):
            compiled = stat_of(bytecode)
            if source and compiled and compiled[1] < max(source[1:3]) + _LONGEST_COMPILE_NS:
                bytecode.unlink(missing_ok=True)


def _compiled(source: Path) -> Iterator[Path]:
    pattern = f"{glob.escape(source.stem)}.*.pyc"
    yield from source.parent.glob(f"__pycache__/{pattern}")
    prefix = os.environ.get("PYTHONPYCACHEPREFIX")
    if prefix:
        yield from Path(f"{prefix}{source.parent}").glob(pattern)
