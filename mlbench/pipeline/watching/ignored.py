"""Which paths the watch never looks at."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from mlbench.domain.stages import Stage
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.watching.git import common_folder, work_tree
from mlbench.pipeline.watching.patterns import PatternFile, excluded
from mlbench.project.layout import CONFIG_NAME, LOCAL_CONFIG_NAME

PATTERN_FILES = (".gitignore", ".dvcignore", ".mlbenchignore")
_OWN_FOLDER = ".mlbench"
_MOST_KNOWN = 4096


def read_by(stages: Iterable[Stage]) -> frozenset[str]:
    """The files and folders that stages name as what they read: deps and params files."""
    stages = tuple(stages)
    deps = {dep for stage in stages for dep in stage.deps}
    return frozenset(deps | {params.file for stage in stages for params in stage.params})


class Names:
    """The paths inside a project that its stages name, and the folders on the way to them."""

    def __init__(self, names: Iterable[str]) -> None:
        """Paths relative to the project; mlbench's own folder is never one of them."""
        paths = [PurePosixPath(name) for name in names]
        inside = [path for path in paths if not path.is_absolute() and ".." not in path.parts]
        inside = [path for path in inside if _OWN_FOLDER not in path.parts]
        self.exact = frozenset("" if path.name == "" else str(path) for path in inside)
        above = (parent for path in inside for parent in path.parents)
        self.above = frozenset("" if parent.name == "" else str(parent) for parent in above)


class Rules(Protocol):
    """What counts among the names in one folder."""

    def ignores(self, name: str, is_folder: bool, /) -> bool:
        """Whether a change of this name in the folder is nobody's business."""

    def inside(self, name: str, is_new: bool = False, /) -> Rules:
        """The rules of a folder in this one; of a new one nothing is known that was read before."""

    def follows(self, name: str, /) -> bool:
        """Whether a link to a folder is looked behind."""


class FolderRules:
    """What counts among the names in one folder of the project."""

    def __init__(
        self,
        folder: str,
        name: str,
        names: Names,
        patterns: tuple[PatternFile, ...],
        *,
        is_ignored: bool = False,
        is_named: bool = False,
    ) -> None:
        """`name` is relative to the project; `patterns` are those of the folders above."""
        own = None if is_ignored else _patterns_in(folder)
        self._folder = folder
        self._name = name
        self._names = names
        self._patterns = patterns if own is None else (own, *patterns)
        self._is_ignored = is_ignored
        self._is_named = is_named or name in names.exact
        self._known: dict[tuple[str, bool], bool] = {}
        self._inner: dict[str, FolderRules] = {}

    def ignores(self, name: str, is_folder: bool) -> bool:
        """Whether a change of this name in the folder is nobody's business."""
        path = self._path(name)
        if path in self._names.exact or path in self._names.above:
            return False
        if is_left_behind(name):
            return True
        if self._is_named:
            return False
        return self._is_ignored or self._is_excluded(name, is_folder)

    def inside(self, name: str, is_new: bool = False, /) -> FolderRules:
        """The rules of a folder in this one; a new one's ignore files are read in any case."""
        if name not in self._inner or is_new:
            self._inner[name] = self._read_inside(name)
        return self._inner[name]

    def _read_inside(self, name: str) -> FolderRules:
        left_behind = is_left_behind(name)
        return FolderRules(
            f"{self._folder}/{name}",
            self._path(name),
            self._names,
            self._patterns,
            is_ignored=self._is_ignored or left_behind or self._is_excluded(name, True),
            is_named=self._is_named and not left_behind,
        )

    def follows(self, name: str) -> bool:
        """Whether a link to a folder is looked behind: a top one, or one that a stage reads."""
        path = self._path(name)
        is_read = self._is_named or path in self._names.exact or path in self._names.above
        return not self._name or is_read

    def _path(self, name: str) -> str:
        return f"{self._name}/{name}" if self._name else name

    def _is_excluded(self, name: str, is_folder: bool) -> bool:
        known = self._known.get((name, is_folder))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = excluded(self._patterns, f"{self._folder}/{name}", is_folder)
            self._known[name, is_folder] = known
        return known


class Ignored:
    """The ignore files of a project, of the repository around it, and the usual tools' folders."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        """What a stage names as a dep or a params file is looked at, whatever git ignores."""
        self.root = root
        self.names: frozenset[str] = frozenset()
        self.look_for(names)

    def look_for(self, names: Iterable[str]) -> bool:
        """Look at these names from now on; tells whether they are other ones than before."""
        wanted = frozenset(os.path.normpath(name) for name in names)
        is_new = wanted != self.names
        self.names = wanted
        self.read_again()
        return is_new

    def read_again(self) -> None:
        """Read the ignore files anew."""
        # The configuration of one machine is ignored by git as a rule, and matters all the same.
        names = Names((*self.names, CONFIG_NAME, LOCAL_CONFIG_NAME))
        self.top: Rules = FolderRules(str(self.root), "", names, _patterns_above(self.root))

    def __call__(self, path: Path, is_folder: bool | None = None) -> bool:
        """Whether a change of this path is nobody's business; None: it may be file or folder."""
        try:
            relative = path.relative_to(self.root)
        except ValueError:
            return True
        if not relative.parts:
            return True
        rules = self.top
        for parent in reversed(relative.parents[:-1]):
            if rules.ignores(parent.name, True):
                return True
            rules = rules.inside(parent.name)
        kinds = (False, True) if is_folder is None else (is_folder,)
        return any(rules.ignores(relative.name, kind) for kind in kinds)


def _patterns_above(root: Path) -> tuple[PatternFile, ...]:
    """The patterns of a repository around the project, nearest first."""
    top = work_tree(root)
    if top is None:
        return ()
    found = [PatternFile.read(str(top), (str(common_folder(top) / "info" / "exclude"),))]
    on_the_way = [at for at in (*reversed(root.parents), root) if at.is_relative_to(top)]
    for folder, inner in itertools.pairwise(on_the_way):
        found.insert(0, _patterns_in(str(folder)))
        # Inside a folder that its repository ignores, the repository has no say.
        if excluded((file for file in found if file is not None), str(inner), True):
            return ()
    return tuple(file for file in found if file is not None)


def _patterns_in(folder: str) -> PatternFile | None:
    return PatternFile.read(folder, [f"{folder}/{name}" for name in PATTERN_FILES])
