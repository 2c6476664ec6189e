"""Which of the project's modules a command's code reaches by import, read and never run."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.stages import Stage

_PYTHONS = ("python", "python3")


@dataclass(frozen=True, slots=True)
class Reached:
    """A module's file and the chain of files by which the stage reaches it."""

    path: Path
    chain: tuple[str, ...]


class CodeGraph:
    """Imports between a project's own files, parsed once a version of each file."""

    def __init__(self, root: Path) -> None:
        """Everything below `root` is the project's own code; the rest belongs to packages."""
        self._root = root
        self._imports: dict[Path, tuple[tuple[int, int], tuple[_Import, ...]]] = {}

    def reached_by(self, stage: Stage) -> dict[str, Reached]:
        """Every project file that the stage's Python code runs or imports, by relative path."""
        wdir = self._root / stage.wdir
        found: dict[str, Reached] = {}
        for script in self._roots(stage, wdir):
            self._walk(script, (), (script.parent, wdir, self._root, self._root / "src"), found)
        return found

    def _roots(self, stage: Stage, wdir: Path) -> Iterator[Path]:
        for command in stage.commands:
            yield from _scripts(command, wdir)
        for dep in stage.deps:
            path = self._root / dep
            if path.suffix == ".py" and path.is_file():
                yield path
            elif path.is_dir():
                yield from sorted(path.rglob("*.py"))

    def _walk(
        self,
        path: Path,
        chain: tuple[str, ...],
        bases: tuple[Path, ...],
        found: dict[str, Reached],
    ) -> None:
        name = self._name(path)
        if name is None or name in found:
            return
        chain = (*chain, name)
        found[name] = Reached(path, chain)
        for wanted in self._imports_of(path):
            for module in wanted.files(path, bases):
                self._walk(module, chain, bases, found)

    def _name(self, path: Path) -> str | None:
        """The path relative to the project, or None for what is not its own code."""
        try:
            relative = path.relative_to(self._root)
        except ValueError:
            return None
        hidden = any(part.startswith(".") or part == "site-packages" for part in relative.parts)
        return None if hidden else relative.as_posix()

    def _imports_of(self, path: Path) -> tuple[_Import, ...]:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            known = self._imports.get(path)
            if known is None or known[0] != stamp:
                self._imports[path] = known = (stamp, tuple(_imports(path.read_bytes())))
        except OSError:
            return ()
        return known[1]


@dataclass(frozen=True, slots=True)
class _Import:
    """One import statement: dots before the module, the module, and the names taken from it."""

    level: int
    module: str
    names: tuple[str, ...] = ()

    def files(self, importer: Path, bases: Iterable[Path]) -> Iterator[Path]:
        """The files that this import runs: packages on the way, the module, submodules named."""
        if self.level:
            base = importer.parent
            for _ in range(self.level - 1):
                base = base.parent
            bases = (base,)
        for base in bases:
            found = list(_files_of(base, self.module.split(".") if self.module else []))
            if found:
                yield from found
                folder = found[-1].parent if found[-1].name == "__init__.py" else None
                if folder is not None:
                    for name in self.names:
                        yield from _one(folder, name)
                return
            folder = base.joinpath(*self.module.split(".")) if self.module else base
            if folder.is_dir() and self.names:
                submodules = [path for name in self.names for path in _one(folder, name)]
                if submodules:
                    yield from submodules
                    return


def _files_of(base: Path, parts: list[str]) -> Iterator[Path]:
    """Packages' __init__ files on the way to a module, and the module; nothing if not here."""
    found: list[Path] = []
    folder = base
    for position, part in enumerate(parts):
        here = list(_one(folder, part))
        is_last = position == len(parts) - 1
        if not here and (is_last or not (folder / part).is_dir()):
            return
        found.extend(here)
        folder = folder / part
    yield from found


def _one(folder: Path, name: str) -> Iterator[Path]:
    for path in (folder / name / "__init__.py", folder / f"{name}.py"):
        if path.is_file():
            yield path
            return


def _scripts(command: str, wdir: Path) -> Iterator[Path]:
    """The .py files that a command names, and the modules it runs with -m."""
    try:
        words = shlex.split(command)
    except ValueError:
        return
    for position, word in enumerate(words):
        if word.endswith(".py") and (wdir / word).is_file():
            yield (wdir / word).resolve()
        is_module = (
            word == "-m" and position > 0 and Path(words[position - 1]).name.startswith(_PYTHONS)
        )
        if is_module and position + 1 < len(words):
            parts = words[position + 1].split(".")
            yield from _files_of(wdir, parts)
            yield from _files_of(wdir, [*parts, "__main__"])


def _imports(source: bytes) -> Iterator[_Import]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _Import(0, alias.name)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield _Import(node.level, node.module or "", names)
