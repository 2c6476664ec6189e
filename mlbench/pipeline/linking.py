"""Giving a new worktree the inputs that git does not have: from the cache, else from other trees.

What another tree has is copied where the file system copies at no cost, and linked elsewhere:
such inputs are data, and may be too large to have twice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.fingerprint import (
    BY_STAT,
    FOLDER,
    MISSING,
    part_name,
    stat_value,
    stats_below,
)
from mlbench.pipeline.found import path_of
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.workspace import Workspace
from mlbench.system.content import reflink_file
from mlbench.system.files import remove

_CODE = part_name(ReasonKind.CODE, "")


class Linking:
    """Brings into one tree what stages read, where another tree or the cache has just that."""

    def __init__(self, sources: Sequence[Workspace], target: Workspace, project: Project) -> None:
        """From the first of these trees that has it into that of `target`, which is new."""
        self._sources = sources
        self._target = target
        self._outs = frozenset(path for stage in project.stages for path in stage.out_paths)
        self.brought: list[str] = []
        self.missing: list[str] = []

    def bring(self, stage: Stage, parts: Mapping[str, str], found: Mapping[str, str]) -> None:
        """All that a stage read, known before or found; what can't be had is in `missing`.

        Its own outs and those of other stages are none of it.
        """
        listings: list[tuple[str, str]] = []
        for of, is_declared in ((parts, True), (found, False)):
            for name, value in of.items():
                path = path_of(name)
                if path is None or self._is_foreign(path):
                    continue
                if path.endswith("/"):
                    listings.append((name, value))
                else:
                    self._bring_input(stage, name, value, is_declared)
        for name, value in listings:
            self._bring_listing(stage, name, value)

    def _is_foreign(self, path: str) -> bool:
        """Whether it is read in place, or lies where nothing is to be put, or a stage gives it."""
        is_outside = os.path.isabs(path) or os.path.normpath(path).split("/")[0] == os.pardir
        return is_outside or self._is_given(path)

    def _is_given(self, path: str) -> bool:
        parts = os.path.normpath(path).split("/")
        return any("/".join(parts[:end]) in self._outs for end in range(1, len(parts) + 1))

    def _bring_input(self, stage: Stage, name: str, value: str, is_declared: bool) -> None:
        path = path_of(name) or ""
        if self._value(self._target, stage, name, value, is_declared) == value:
            return
        target = self._target.root / path
        if value == FOLDER:
            target.mkdir(parents=True, exist_ok=True)
        elif self._is_in_store(name, value):
            remove(target)
            self._target.store.restore(value, target)
            self.brought.append(path)
        else:
            having = (
                one
                for one in self._sources
                if self._value(one, stage, name, value, is_declared) == value != MISSING
            )
            source = next(having, None)
            if source is not None:
                self._bring_content(source, path)
            else:
                self._note_missing(path)

    def _is_in_store(self, name: str, value: str) -> bool:
        """Code has no hash of its bytes, and what counts by its stat none at all."""
        is_hash = not name.startswith(_CODE) and not value.startswith(BY_STAT)
        return is_hash and value != MISSING and self._target.store.has(value)

    def _value(
        self, space: Workspace, stage: Stage, name: str, wanted: str, is_declared: bool
    ) -> str:
        """What an input is in a tree, named and hashed as a fingerprint does it."""
        path = path_of(name) or ""
        if wanted.startswith(BY_STAT):
            return stat_value(stats_below(space.tree, space.root, path))
        if is_declared:
            return space.digests.meaning(space.root / path) or MISSING
        return space.found.values([name], stage)[name]

    def _bring_content(self, of: Workspace, path: str) -> None:
        source = of.root / path
        if not source.is_dir():
            self._place(of, path)
            return
        (self._target.root / path).mkdir(parents=True, exist_ok=True)
        for inner in of.tree.files(source, is_left_behind):
            name = inner.relative_to(of.root).as_posix()
            if not self._is_given(name):
                self._place(of, name)

    def _place(self, of: Workspace, path: str) -> None:
        """Have one file in the tree that is the other tree's."""
        source, target = of.root / path, self._target.root / path
        if of.digests.content(source) == self._target.digests.content(target):
            return
        remove(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        real = Path(os.path.realpath(source))
        if not reflink_file(real, target):
            target.symlink_to(real)
        self.brought.append(path)

    def _bring_listing(self, stage: Stage, name: str, value: str) -> None:
        """The names in a folder that a stage listed, where the other tree has just these."""
        folder = (path_of(name) or "").rstrip("/")
        wanted = {name: value}
        if self._target.found.values([name], stage) == wanted:
            return
        having = (one for one in self._sources if one.found.values([name], stage) == wanted)
        source = next(having, None) if value != MISSING else None
        if source is not None:
            for entry in source.tree.names(source.root / folder):
                self._bring_entry(source, os.path.normpath(f"{folder}/{entry}"))
        if self._target.found.values([name], stage) != wanted:
            self._note_missing(f"{folder}/")

    def _bring_entry(self, of: Workspace, path: str) -> None:
        source, target = of.root / path, self._target.root / path
        if os.path.lexists(target) or is_left_behind(target.name) or self._is_foreign(path):
            return
        if source.is_dir():
            # By name alone: what was read in it is an input of its own.
            target.mkdir(parents=True)
        elif source.is_file():
            self._place(of, path)

    def _note_missing(self, path: str) -> None:
        if path not in self.missing:
            self.missing.append(path)
