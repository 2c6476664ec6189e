"""The parameters that a stage names, parsed once a version of their file."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.stages import ParamKeys, Stage
from mlbench.inside.secrets import secret_values
from mlbench.pipeline.digests import is_racy
from mlbench.pipeline.tree import Stat, Tree
from mlbench.project.params import flatten, name_on_disk, parse_params, select
from mlbench.project.toml_file import text_of


class Params:
    """Params files of one tree, remembered by their stat."""

    def __init__(self, tree: Tree, root: Path) -> None:
        """Nothing is read yet."""
        self._tree = tree
        self._root = root
        self._parsed: dict[str, tuple[Stat, dict[str, Any]]] = {}

    def file(self, wanted: ParamKeys) -> str:
        """The file that is meant, relative to the project."""
        return name_on_disk(wanted.file, lambda name: self._tree.is_file(self._root / name))

    def select(self, wanted: ParamKeys) -> dict[str, Any]:
        """The wanted parameters, flat; ProjectFileError where the file or a key is not there."""
        name = self.file(wanted)
        return select(self._read(name), wanted, name)

    def secrets(self, stage: Stage) -> tuple[str, ...]:
        """The texts in the files of a stage's params whose name says that they are secret."""
        texts: dict[str, str] = {}
        for file in dict.fromkeys(self.file(wanted) for wanted in stage.params):
            with contextlib.suppress(ProjectFileError):
                flat = flatten(self._read(file))
                texts |= {name: value for name, value in flat.items() if isinstance(value, str)}
        return secret_values(texts)

    def _read(self, name: str) -> dict[str, Any]:
        path = self._root / name
        begun, stat = self._tree.now(), self._tree.stat(path)
        known = self._parsed.get(name)
        if stat is not None and known is not None and known[0] == stat:
            return known[1]
        tree = parse_params(name, text_of(lambda: self._tree.read(path), name))
        if stat is not None and not is_racy(stat, begun):
            self._parsed[name] = (stat, tree)
        return tree
