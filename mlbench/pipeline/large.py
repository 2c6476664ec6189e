"""Outs that are too large to be cached by themselves, and what the user is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlbench.domain.stages import Stage
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.tree import Tree

_GIGABYTE = 1e9


def bytes_of(tree: Tree, path: Path) -> int:
    """The bytes of a file, or of all files below a folder; 0 where there is nothing."""
    if tree.is_folder(path):
        return sum(_size(tree, inner) for inner in tree.files(path, is_left_behind))
    return _size(tree, path)


def too_large(tree: Tree, root: Path, stage: Stage) -> dict[str, int]:
    """The outs of a stage, with their bytes, that are cached only if that is asked for."""
    sizes = {out: bytes_of(tree, root / out.path) for out in stage.outs if out.cache}
    return {out.path: size for out, size in sizes.items() if not out.is_cached(size)}


def advice_on_size(stage: Stage, large: Mapping[str, int]) -> tuple[str, ...]:
    """What to write in mlbench.toml for outs that were not cached, one sentence each."""
    return tuple(
        f"{path} is {size / _GIGABYTE:.1f} GB, too large to be cached by itself; "
        f"write in [stages.{stage.name}] of mlbench.toml: "
        f'outs = [{{ "{path}" = {{ cache = true }} }}] to keep it, false to leave it so'
        for path, size in large.items()
    )


def _size(tree: Tree, path: Path) -> int:
    stat = tree.stat(path)
    return 0 if stat is None else stat[0]
