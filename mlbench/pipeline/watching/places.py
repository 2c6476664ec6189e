"""The folders to look at: the project, what links lead to, and deps that lie outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.watching.ignored import Ignored, Rules


class Everything:
    """A dep's folder outside the project, where no ignore file of the project counts."""

    def ignores(self, name: str, _is_folder: bool) -> bool:
        """Only what tools and editors leave."""
        return is_left_behind(name)

    def inside(self, _name: str, _is_new: bool = False) -> Rules:
        """The same."""
        return self

    def follows(self, _name: str) -> bool:
        """As a dep is read: behind links too."""
        return True


@dataclass(frozen=True)
class Way:
    """The names on the way to deps outside the project, and nothing beside them."""

    steps: dict[str, Rules] = field(default_factory=dict)

    def ignores(self, name: str, _is_folder: bool) -> bool:
        """All but the next steps."""
        return name not in self.steps

    def inside(self, name: str, _is_new: bool = False) -> Rules:
        """The rest of the way, or everything where it ends."""
        return self.steps[name]

    def follows(self, name: str) -> bool:
        """Along the way."""
        return name in self.steps

    def add(self, parts: tuple[str, ...]) -> None:
        """Lead to one more place."""
        first, *rest = parts
        if not rest:
            self.steps[first] = Everything()
            return
        step = self.steps.setdefault(first, Way())
        # Where everything below counts already, a longer way adds nothing.
        if isinstance(step, Way):
            step.add(tuple(rest))


@dataclass(frozen=True)
class Place:
    """A folder to look at: its real path, the name it is told by, and what counts in it.

    `links` are the real folders of the links on the way to it, so that no circle is walked.
    """

    path: str
    name: str
    rules: Rules
    links: tuple[str, ...] = ()

    def name_of(self, entry: str) -> str:
        """How something in the folder is told: relative to the project, or as its dep is named."""
        return f"{self.name.rstrip('/')}/{entry}" if self.name else entry

    def inside(self, name: str, is_new: bool = False) -> Place | None:
        """The folder of this name in it, or behind a link; None where none is to be looked at."""
        path = os.path.join(self.path, name)
        if not os.path.islink(path):
            if not os.path.isdir(path) or self.rules.ignores(name, True):
                return None
            rules = self.rules.inside(name, is_new)
            return replace(self, path=path, name=self.name_of(name), rules=rules)
        return self._behind_link(name, path, is_new)

    def _behind_link(self, name: str, path: str, is_new: bool) -> Place | None:
        # For git a link is a file, wherever it leads.
        if not self.rules.follows(name) or self.rules.ignores(name, False):
            return None
        real = os.path.realpath(path)
        goes_round = real in self.links or f"{self.path}/".startswith(f"{real.rstrip('/')}/")
        if goes_round or not os.path.isdir(real):
            return None
        rules = self.rules.inside(name, is_new)
        return Place(real, self.name_of(name), rules, (*self.links, real))

    def look(self, with_files: bool) -> tuple[list[Place], list[os.DirEntry[str]]]:
        """The folders in it that count, and its files that do; nothing where it is gone."""
        folders: list[Place] = []
        files: list[os.DirEntry[str]] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    may_be_folder = entry.is_dir(follow_symlinks=False) or entry.is_symlink()
                    inner = self.inside(entry.name) if may_be_folder else None
                    if inner is not None:
                        folders.append(inner)
                    elif with_files and not self._is_folder_or_ignored(entry):
                        files.append(entry)
        except OSError:
            return [], []
        return folders, files

    def _is_folder_or_ignored(self, entry: os.DirEntry[str]) -> bool:
        return entry.is_dir(follow_symlinks=False) or self.rules.ignores(entry.name, False)


def places(ignored: Ignored) -> Iterator[Place]:
    """The project's folder, and where deps outside of it lie; each to be watched as a tree."""
    yield Place(os.path.realpath(ignored.root), "", ignored.top)
    ways: dict[str, Way] = {}
    told_as: dict[str, str] = {}
    for name in sorted(ignored.names):
        path = os.path.abspath(ignored.root / name)
        is_outside = name == ".." or name.startswith("../")
        if os.path.islink(path) and not os.path.isdir(path):
            # A change of the file behind the link happens where the file is.
            path = os.path.realpath(path)
        elif not is_outside and not os.path.isabs(name):
            continue
        folder = _nearest_folder(os.path.dirname(path))
        real = os.path.realpath(folder)
        told_as[real] = os.path.relpath(folder, ignored.root) if is_outside else folder
        ways.setdefault(real, Way()).add(tuple(os.path.relpath(path, folder).split(os.sep)))
    for real, way in ways.items():
        yield Place(real, told_as[real], way)


def _nearest_folder(path: str) -> str:
    """The folder, or the nearest above it that is there: a dep may be still to come."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path
