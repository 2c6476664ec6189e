"""Compiled modules that Python would take for current though they are not."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlbench.pipeline.tree import Tree

# Compiling may begin before an edit and end after it, within the same second.
_LONGEST_COMPILE_NS = 2_000_000_000


def drop_stale_bytecode(
    tree: Tree, root: Path, names: Iterable[str], until: float = math.inf
) -> list[str]:
    """Remove the .pyc files of these modules that were not compiled well after the last touch.

    Python knows a source's version by its size and the second of its mtime alone, so that an edit
    of the same size within a second, or one that keeps its mtime, would run OLD code. What was
    compiled after `until` (ns) stays. Names the modules that may have been stale.
    """
    stale = []
    for name in names:
        source = tree.stat(root / name)
        for bytecode in _compiled(tree, root / name):
            compiled = tree.stat(bytecode)
            if not source or not compiled or compiled[1] > until:
                continue
            if compiled[1] < max(source[1:3]) + _LONGEST_COMPILE_NS:
                tree.remove(bytecode)
                stale.append(name)
    return stale


def _compiled(tree: Tree, source: Path) -> Iterator[Path]:
    folders = [source.parent / "__pycache__"]
    prefix = os.environ.get("PYTHONPYCACHEPREFIX")
    if prefix:
        folders.append(Path(f"{prefix}{source.parent}"))
    for folder in folders:
        for name in tree.names(folder):
            if name.startswith(f"{source.stem}.") and name.endswith(".pyc"):
                yield folder / name
