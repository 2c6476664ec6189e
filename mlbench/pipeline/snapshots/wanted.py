"""What a snapshot has to hold so that some stages can run in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mlbench.domain.errors import UsageError
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.found import path_of
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.snapshots.tracked import entries_of, project_files
from mlbench.pipeline.tree import Stat
from mlbench.project.params import name_on_disk

_OWN_FOLDER = ".mlbench"
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


@dataclass(slots=True)
class Wanted:
    """Files by name with the path and stat of their source, links by name with their text.

    `folders` are there even when nothing lies in them, and `kept` is what may lie there of its
    own. Names are relative to the project.
    """

    files: dict[str, tuple[str, Stat]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    kept: frozenset[str] = frozenset()


def wanted_for(
    root: Path,
    stages: Iterable[Stage],
    project: Project,
    also: Iterable[str] = (),
    kept: Iterable[str] = (),
) -> Wanted:
    """The project's own files, and the deps and params files of the stages, whatever git ignores.

    Outs, of these stages or others, only where they are deps. `also` names further inputs, such as
    those that a stage was seen to read; with a slash at its end, what lies directly in a folder,
    for a stage that listed it. What is `kept` is the snapshot's own matter, deps or not. UsageError
    for a relative dep that leaves the project.
    """
    stages = tuple(stages)
    collector = _Collector(root, frozenset(map(os.path.normpath, kept)))
    collector.add_environments()
    collector.leave_out({out for stage in project.stages for out in stage.out_paths})
    collector.add_own_files()
    for stage in stages:
        collector.add_folder(stage.wdir)
        for name in _inputs(root, stage):
            if _leaves(name):
                raise UsageError(
                    f'stage "{stage.name}" can\'t run in a snapshot: "{name}", which it reads, '
                    "lies outside the project; name it by its absolute path"
                )
            collector.add_input(name)
    own = {out for stage in stages for out in stage.out_paths}
    for name in also:
        if name.endswith("/") and not _leaves(name):
            collector.add_listing(name.rstrip("/"), own)
        elif not _leaves(name):
            collector.add_input(name)
    return collector.wanted()


def everything_in(tree: Path, own: str, kept: Iterable[str]) -> Wanted:
    """All that lies in a folder but what tools leave and the path `own`, as another is to have it.

    What is `kept` is the other's own matter.
    """
    wanted = Wanted(kept=frozenset(map(os.path.normpath, kept)))

    def look(below: str) -> None:
        for entry in entries_of(f"{tree}/{below}"):
            name = f"{below}{entry.name}"
            if name in wanted.kept or entry.path == own:
                continue
            if entry.is_symlink():
                wanted.links[name] = os.readlink(entry.path)
            elif is_left_behind(entry.name):
                continue
            elif entry.is_dir():
                wanted.folders.add(name)
                look(f"{name}/")
            else:
                wanted.files[name] = (entry.path, stat_of(entry.stat()))

    look("")
    for name in wanted.kept:
        wanted.folders |= _ancestors(name, wanted.folders)
    return wanted


def inputs_among(parts: Iterable[str]) -> list[str]:
    """The files, folders and listings among the named inputs of a stage, known or found."""
    return [path for path in map(path_of, parts) if path is not None]


def _inputs(root: Path, stage: Stage) -> list[str]:
    files = (
        name_on_disk(params.file, lambda name: (root / name).is_file()) for params in stage.params
    )
    return [*stage.deps, *files]


def _leaves(name: str) -> bool:
    """Whether a relative name leads out of the folder that it is relative to."""
    clean = os.path.normpath(name)
    return clean == os.pardir or clean.startswith(f"{os.pardir}{os.sep}")


class _Collector:
    """Gathers names from the real tree; links are taken for what they lead to."""

    def __init__(self, root: Path, kept: frozenset[str]) -> None:
        self._root = os.path.realpath(root)
        self._environments: set[str] = set()
        self._left_out = {_OWN_FOLDER}
        self._above: dict[str, bool] = {}
        self._added: set[str] = set()
        self._wanted = Wanted(kept=kept)

    def wanted(self) -> Wanted:
        """All that was gathered; where something has to lie below a name, that is no link."""
        wanted = self._wanted
        for name in (*wanted.files, *wanted.folders, *wanted.links, *wanted.kept):
            wanted.folders |= _ancestors(name, wanted.folders)
        for name in wanted.links.keys() & wanted.folders:
            del wanted.links[name]
        return wanted

    def leave_out(self, names: set[str]) -> None:
        """Files at or below these are not the project's own."""
        self._left_out |= names
        self._above.clear()

    def add_environments(self) -> None:
        """A virtual environment is read in place, as the interpreter itself is: by a link.

        Commands may name it relative to the project, and packages are no part of a snapshot.
        """
        for entry in entries_of(self._root):
            if entry.is_dir() and any(
                os.path.exists(f"{entry.path}/{mark}") for mark in _ENVIRONMENT_MARKS
            ):
                self._wanted.links[entry.name] = entry.path
                self._environments.add(entry.name)
        self.leave_out(self._environments)

    def add_own_files(self, below: str = "") -> None:
        """What git tracks or would; a repository inside the project with its own files."""
        folder = f"{self._root}/{below}"
        for inner in project_files(Path(folder)):
            name = f"{below}{inner}"
            if self._is_left_out(name):
                continue
            path = f"{self._root}/{name}"
            try:
                found = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                self._wanted.files[name] = (path, stat_of(found))
            elif stat.S_ISLNK(found.st_mode):
                self._add_own_link(name, path)
            elif stat.S_ISDIR(found.st_mode):
                self.add_own_files(f"{name}/")

    def add_folder(self, name: str) -> None:
        """A folder of the project, also where nothing lies in it."""
        if os.path.isdir(f"{self._root}/{name}"):
            self._wanted.folders.add(os.path.normpath(name))

    def add_input(self, name: str) -> None:
        """A file, or a folder with everything in it but what tools leave; absent ones are not.

        An absolute name is read in place.
        """
        name = os.path.normpath(name)
        parts = name.split("/")
        if os.path.isabs(name) or name in self._added or parts[0] in self._environments:
            return
        if any("/".join(parts[:end]) in self._wanted.kept for end in range(1, len(parts) + 1)):
            return
        # Links may lead round for ever.
        self._added.add(name)
        for end in range(1, len(parts) + 1):
            prefix = "/".join(parts[:end])
            inside = self._target_inside(prefix)
            if inside is not None:
                self._keep_link(prefix, inside)
                self.add_input("/".join((inside, *parts[end:])))
                return
        self._add_content(name, f"{self._root}/{name}", ())

    def add_listing(self, name: str, own: set[str]) -> None:
        """What lies directly in a folder, apart from the outs that are to be made: by name."""
        name = os.path.normpath(name)
        if os.path.isabs(name):
            return
        self.add_folder(name)
        for entry in entries_of(f"{self._root}/{name}"):
            inner = entry.name if name == "." else f"{name}/{entry.name}"
            if is_left_behind(entry.name) or inner in own or inner in self._wanted.links:
                continue
            if entry.is_dir():
                self._wanted.folders.add(inner)
            else:
                self.add_input(inner)

    def _add_content(self, name: str, path: str, above: tuple[tuple[int, int], ...]) -> None:
        try:
            found = os.stat(path)
        except OSError:
            return
        if stat.S_ISREG(found.st_mode):
            self._wanted.files[name] = (path, stat_of(found))
            self._wanted.links.pop(name, None)
        here = (found.st_dev, found.st_ino)
        # A link to a folder around it would go round for ever.
        if not stat.S_ISDIR(found.st_mode) or here in above:
            return
        self._wanted.folders.add(name)
        for entry in entries_of(path):
            inner = entry.name if name == "." else f"{name}/{entry.name}"
            if is_left_behind(entry.name) or inner in self._wanted.kept:
                continue
            if entry.is_symlink() and self._target_inside(inner) is not None:
                self.add_input(inner)
            else:
                self._add_content(inner, entry.path, (*above, here))

    def _add_own_link(self, name: str, path: str) -> None:
        """A link that points inside stays one; a file elsewhere is copied.

        A folder elsewhere is left out, apart from what a stage names as a dep: it may hold the
        data of all projects, and through a link a stage could write to it.
        """
        inside = self._target_inside(name)
        if inside is not None:
            self._keep_link(name, inside)
        elif os.path.isfile(path):
            self._wanted.files[name] = (path, stat_of(os.stat(path)))

    def _keep_link(self, name: str, inside: str) -> None:
        self._wanted.links[name] = os.path.relpath(inside, os.path.dirname(name) or ".")

    def _target_inside(self, name: str) -> str | None:
        """Where in the project a link leads to; None where it is no link, or leads elsewhere."""
        path = f"{self._root}/{name}"
        if not os.path.islink(path):
            return None
        target = os.path.realpath(path)
        if target != self._root and not target.startswith(f"{self._root}/"):
            return None
        inside = os.path.relpath(target, self._root)
        return None if inside.split("/")[0] == _OWN_FOLDER else inside

    def _is_left_out(self, name: str) -> bool:
        folder = name.rpartition("/")[0]
        if folder not in self._above:
            parts = folder.split("/")
            self._above[folder] = any(
                "/".join(parts[:end]) in self._left_out for end in range(1, len(parts) + 1)
            )
        return self._above[folder] or name in self._left_out


def _ancestors(name: str, known: set[str]) -> set[str]:
    """The folders that a name lies in, up to the first that is known."""
    found: set[str] = set()
    folder = name.rpartition("/")[0]
    while folder and folder not in known:
        found.add(folder)
        folder = folder.rpartition("/")[0]
    return found


def stat_of(found: os.stat_result) -> Stat:
    """What tells one version of a file from another: size, mtime, ctime (ns) and inode."""
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
