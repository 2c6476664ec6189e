"""What a stage was found to read, beyond what it declares: inputs that only ever add reasons."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlbench.domain.graph import PathIndex
from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.stages import Stage
from mlbench.pipeline.digests import Digests
from mlbench.pipeline.fingerprint import FOLDER, MISSING, Fingerprint, part_name
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.tree import Stat, Tree
from mlbench.project.layout import CONFIG_NAME, LOCAL_CONFIG_NAME, LOCK_NAME
from mlbench.system.content import hash_bytes

if TYPE_CHECKING:
    from mlbench.pipeline.seen import Seen

_FILE, _CODE, _PACKAGE = (
    part_name(kind, "") for kind in (ReasonKind.FILE, ReasonKind.CODE, ReasonKind.PACKAGE)
)


# mlbench's own files, of which each stage's share is in its fingerprint.
_OURS = frozenset((CONFIG_NAME, LOCAL_CONFIG_NAME, LOCK_NAME))
# pytest lists the folders on its way to what it is told to collect, and looks at no more of them.
_COLLECTED = (".py", ".toml", ".ini", ".cfg")


class Versions(Protocol):
    """Which packages are installed, by a key that names package and place."""

    def seen(self, files: Iterable[str]) -> dict[str, str]:
        """The key and version of the packages that these files belong to."""

    def version(self, key: str) -> str | None:
        """The version that is installed now, None where there is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """The inputs that one run was found to have: `names` of files and listings, package versions.

    `touched` are all paths that the run wrote, `written` those that it does not declare, and
    `installed` the files of the packages.
    """

    names: frozenset[str] = frozenset()
    packages: Mapping[str, str] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    installed: frozenset[str] = frozenset()
    traced: bool = False

    @property
    def files(self) -> frozenset[str]:
        """The paths of the files among the names, code and listings apart."""
        files = (name.removeprefix(_FILE) for name in self.names if name.startswith(_FILE))
        return frozenset(path for path in files if not path.endswith("/"))

    @property
    def rewritten(self) -> frozenset[str]:
        """The files that it both read and wrote: what it began with is gone."""
        return self.written & self.files


class FoundInputs:
    """Names what was seen, and gives each name's value as the tree stands."""

    def __init__(self, tree: Tree, root: Path, digests: Digests, versions: Versions) -> None:
        """For one project."""
        self._tree = tree
        self._root = root
        self._digests = digests
        self._versions = versions

    def of(self, seen: Seen, stage: Stage, fingerprint: Fingerprint) -> Found:
        """What was seen, less what the stage declares, its own outs, and params files by key."""
        known = set(fingerprint.chains) | set(fingerprint.params_files)
        covered = (*stage.deps, *stage.out_paths)

        def is_new(name: str) -> bool:
            return name not in known and not any(overlaps_inside(name, top) for top in covered)

        modules = {name for name in map(self._name, seen.modules) if is_new(name)}
        reads = {name for name in map(self._name, seen.reads) if is_new(name)} - modules
        reads -= {name for name in sorted(reads) if self._is_special(name)}
        listings = {name for name in map(self._name, seen.listings) if is_new(name)}
        touched = frozenset(map(self._name, seen.writes))
        return Found(
            names=frozenset(
                (
                    *(_CODE + name for name in modules),
                    *(_FILE + name for name in reads),
                    *(f"{_FILE}{name}/" for name in listings),
                )
            ),
            packages={_PACKAGE + k: v for k, v in self._versions.seen(seen.packages).items()},
            touched=touched,
            written=frozenset(name for name in touched if is_new(name)),
            installed=seen.packages,
            traced=seen.traced,
        )

    def _is_special(self, name: str) -> bool:
        """Whether it is a pipe, a socket or a device: what it holds is gone with the reading."""
        path = self._root / name
        is_plain = self._tree.is_file(path) or self._tree.is_folder(path)
        return not is_plain and self._tree.stat(path) is not None

    def values(self, names: Iterable[str], stage: Stage) -> dict[str, str]:
        """What each input is now; looked at in one order in every process."""
        return {name: self._value(name, stage) for name in sorted(names)}

    def stats(self, names: Iterable[str]) -> dict[str, Stat | None]:
        """The stat of each file among these inputs, by the name that the tree gives it."""
        return {
            path: self._tree.stat(self._at(path))
            for path in map(path_of, names)
            if path is not None and not path.endswith("/")
        }

    def unsettled(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those that no stat tells: listings, which a stage's own outs move, and packages."""
        return tuple(name for name in names if (path_of(name) or "/").endswith("/"))

    def likely(self, stage: Stage) -> tuple[str, ...]:
        """The listings that a stage may well look at: what they were tells more than their stat."""
        folders = {".", stage.wdir, *(os.path.dirname(dep) or "." for dep in stage.deps)}
        return tuple(f"{_FILE}{folder}/" for folder in sorted(folders))

    def moved_since(
        self, mark: int, found: Found, stage: Stage, settled: Collection[str]
    ) -> str | None:
        """The first input that was touched from `mark` (ns) on by another than the stage.

        A listing whose names are known from before, `settled`, moves with its names alone: a save
        of a file in a folder moves the folder's stat too.
        """
        own = _folders_written(found, stage)
        for name in sorted(found.names - set(settled)):
            path = path_of(name) or ""
            stat = self._tree.stat(self._at(path))
            if path in found.written:
                continue
            if stat is None and name.startswith(_CODE):
                # It was loaded, so it was there.
                return path
            # A folder's own stat moves with every file that the stage puts there.
            is_moved = path.rstrip("/") not in own if path.endswith("/") else True
            if stat is not None and is_moved and stat[2] >= mark:
                return path
        for file in sorted(found.installed):
            stat = self._tree.stat(Path(file))
            if stat is not None and stat[2] >= mark:
                return file
        return None

    def _value(self, name: str, stage: Stage) -> str:
        if name.startswith(_PACKAGE):
            return self._versions.version(name.removeprefix(_PACKAGE)) or MISSING
        path = path_of(name) or ""
        if path.endswith("/"):
            return self._listing(path.rstrip("/"), stage)
        if name.startswith(_CODE):
            return self._digests.meaning(self._at(path)) or MISSING
        if self._tree.is_folder(self._at(path)):
            return FOLDER
        return self._digests.content(self._at(path)) or MISSING

    def _listing(self, folder: str, stage: Stage) -> str:
        if not self._tree.is_folder(self._at(folder)):
            return MISSING
        here = os.path.normpath(folder)
        paths = (os.path.split(os.path.normpath(out)) for out in stage.out_paths)
        own = {name for above, name in paths if (above or ".") == here}
        is_on_the_way = stage.is_test and f"{_FILE}{folder}/" in self.likely(stage)
        names = [
            name
            for name in self._tree.names(self._at(folder))
            if name not in own
            and not is_left_behind(name)
            and name not in _OURS
            and (not is_on_the_way or name.endswith(_COLLECTED))
        ]
        return hash_bytes(json.dumps(names).encode("utf-8", "surrogatepass"))

    def _at(self, name: str) -> str:
        return os.path.join(self._root, name)

    def _name(self, path: str) -> str:
        """Relative to the project where it lies inside, absolute elsewhere."""
        try:
            return Path(path).relative_to(self._root).as_posix()
        except ValueError:
            return path


def _folders_written(found: Found, stage: Stage) -> set[str]:
    return {os.path.dirname(path) or "." for path in (*found.written, *stage.out_paths)}


def path_of(name: str) -> str | None:
    """The path that an input names, None for what is no file; a listing ends with a slash."""
    for prefix in (_FILE, _CODE):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return None


def overlaps_inside(name: str, top: str) -> bool:
    """Whether a path is `top` or lies inside it."""
    return name == top or name.startswith(f"{top.rstrip('/')}/") or top == "."


def read_outs(names: Iterable[str], makers: PathIndex) -> Iterator[str]:
    """The stages whose outs are among the inputs that were found."""
    for name in names:
        path = path_of(name)
        # A listing moves with what comes and goes in a folder, whatever a file there holds.
        if path is not None and not path.endswith("/"):
            yield from makers.owners_of(path)
