"""Which of the project's modules a command's code reaches by import, read and never run."""

from __future__ import annotations

import ast
import os
from collections import deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.stages import Stage
from mlbench.domain.syntax import parse_module
from mlbench.pipeline.digests import is_racy
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.tree import Stat, Tree
from mlbench.pipeline.words import words_of


@dataclass(frozen=True, slots=True)
class Reached:
    """A module's file and the chain of files by which the stage reaches it."""

    path: Path
    chain: tuple[str, ...]


class CodeGraph:
    """Imports between a project's own files, parsed once a version of each file."""

    def __init__(self, tree: Tree, root: Path) -> None:
        """Everything below `root` is the project's own code; the rest belongs to packages."""
        self._tree = tree
        self._root = root
        self._top = str(root)
        self._imports: dict[Path, tuple[Stat, tuple[_Import, ...]]] = {}

    def reached_by(self, stage: Stage, files: Container[str] = ()) -> dict[str, Reached]:
        """Every project file that the stage's Python code runs or imports, by relative path.

        `files` are those of its deps that are known to be no folders.
        """
        wdir = self._root if stage.wdir == "." else self._root / stage.wdir
        found: dict[str, Reached] = {}
        for script in self._roots(stage, wdir, files):
            self._walk(script, (script.parent, wdir, self._root, self._root / "src"), found)
        return found

    def _roots(self, stage: Stage, wdir: Path, files: Container[str]) -> Iterator[Path]:
        for command in stage.commands:
            yield from self._scripts(command, wdir)
        for dep in stage.deps:
            place = os.path.join(self._top, dep)
            if dep.endswith(".py"):
                if self._tree.is_file(place):
                    yield Path(place)
            elif dep in files or dep in stage.stat_deps:
                continue
            elif self._tree.is_folder(place):
                inside = self._tree.files(Path(place), is_left_behind)
                yield from (inner for inner in inside if inner.suffix == ".py")

    def _scripts(self, command: str, wdir: Path) -> Iterator[Path]:
        """The .py files that a command names, and the modules it runs with -m."""
        words = words_of(command)
        for before, word in zip(("", *words), words, strict=False):
            if word.endswith(".py"):
                if self._tree.is_file(wdir / word):
                    yield self._tree.real(wdir / word)
            elif before == "-m":
                parts = word.split(".")
                found, folders = self._resolve((wdir,), parts)
                yield from found
                yield from self._module(folders, "__main__")

    def _walk(self, script: Path, bases: tuple[Path, ...], found: dict[str, Reached]) -> None:
        """Follow imports in widening circles, so that each chain is the shortest there is."""
        pending: deque[tuple[Path, tuple[str, ...]]] = deque([(script, ())])
        while pending:
            path, before = pending.popleft()
            name = self._name(path)
            if name is None or name in found:
                continue
            chain = (*before, name)
            found[name] = Reached(path, chain)
            for wanted in self._imports_of(path):
                pending.extend((module, chain) for module in self._files_of(wanted, path, bases))

    def _name(self, path: Path) -> str | None:
        """The path relative to the project, or None for what is not its own code."""
        try:
            relative = path.relative_to(self._root)
        except ValueError:
            return None
        hidden = any(part.startswith(".") or part == "site-packages" for part in relative.parts)
        return None if hidden else relative.as_posix()

    def _imports_of(self, path: Path) -> tuple[_Import, ...]:
        begun, stat = self._tree.now(), self._tree.stat(path)
        known = self._imports.get(path)
        if stat is not None and known is not None and known[0] == stat:
            return known[1]
        try:
            imports = tuple(_imports(self._tree.read(path)))
        except OSError:
            return ()
        if stat is not None and not is_racy(stat, begun):
            self._imports[path] = (stat, imports)
        return imports

    def _files_of(self, wanted: _Import, importer: Path, bases: tuple[Path, ...]) -> Iterator[Path]:
        """The files that an import runs: packages on the way, the module, submodules named."""
        if wanted.level:
            base = importer.parents[min(wanted.level, len(importer.parents)) - 1]
            bases = (base,)
            yield from self._one((base / "__init__.py",))
        found, folders = self._resolve(bases, wanted.module.split(".") if wanted.module else [])
        yield from found
        for name in wanted.names:
            yield from self._module(folders, name)

    def _resolve(
        self, bases: tuple[Path, ...], parts: list[str]
    ) -> tuple[list[Path], tuple[Path, ...]]:
        """The files that importing a dotted name runs, and the folders that hold its submodules.

        As the import system has it: the first regular package or module wins, else all folders of
        that name together are a namespace package. What can't be found stops the walk, not before.
        """
        found: list[Path] = []
        folders = bases
        for part in parts:
            here = list(self._module(folders, part))
            if here:
                found += here
                folders = (here[0].parent,) if here[0].name == "__init__.py" else ()
            else:
                inner = (folder / part for folder in folders)
                folders = tuple(folder for folder in inner if self._tree.is_folder(folder))
        return found, folders

    def _module(self, folders: tuple[Path, ...], name: str) -> Iterator[Path]:
        """The file of a package or module in the first folder that has it."""
        return self._one(
            path
            for folder in folders
            for path in (folder / name / "__init__.py", folder / f"{name}.py")
        )

    def _one(self, paths: Iterable[Path]) -> Iterator[Path]:
        for path in paths:
            if self._tree.is_file(path):
                yield path
                return


@dataclass(frozen=True, slots=True)
class _Import:
    """One import statement: dots before the module, the module, and the names taken from it."""

    level: int
    module: str
    names: tuple[str, ...] = ()


def _imports(source: bytes) -> Iterator[_Import]:
    try:
        tree = parse_module(source)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _Import(0, alias.name)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield _Import(node.level, node.module or "", names)
