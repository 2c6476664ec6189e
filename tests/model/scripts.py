"""What the model's stages do: a few lines of Python each, as the core parses it and Python has it.

The oracle runs them in one go over the sources alone; the runner step by step over the disk.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Generator
from functools import lru_cache
from typing import Protocol

from mlbench.domain.stages import Stage

FOLDER_OUTS = frozenset({"build/parts"})
_PATTERNS = {
    "doc": re.compile(r'"""(.*)"""'),
    "optional": re.compile(r"with suppress\(ImportError\): import (\S+)"),
    "inner": re.compile(r"from \. import (\w+)"),
    "member": re.compile(r"from (\w+) import (\w+)"),
    "import": re.compile(r"import (\S+)"),
    "const": re.compile(r"K\s*=\s*\(?(\d+)\)?"),
    "call": re.compile(r"(\w+)\('?([^']*)'?\)"),
}
Steps = Generator[None, None, str]


class ScriptError(Exception):
    """The script ends with an error."""


class View(Protocol):
    """What a script can get at; paths are relative to the project."""

    python: str

    def source(self, path: str) -> str:
        """The text of the script itself."""

    def module(self, path: str) -> Steps:
        """The code of a module that is imported."""

    def is_module(self, path: str) -> bool:
        """Whether the import system finds a file."""

    def package(self, name: str) -> str | None:
        """The version of an installed package."""

    def read(self, path: str) -> str | None:
        """The text of a file; None where it can't be opened."""

    def listing(self, folder: str) -> list[str]:
        """The names in a folder."""

    def tree(self, path: str) -> list[tuple[str, str]]:
        """A dep: each file with its text."""

    def params(self, keys: tuple[str, ...]) -> list[tuple[str, str]]:
        """The parameters under these keys."""

    def env(self, name: str) -> str:
        """An environment variable."""

    def bump(self, path: str) -> None:
        """Read a counter and write it one higher."""


@lru_cache(maxsize=4096)
def statements(source: str) -> tuple[tuple[str, str], ...]:
    """The statements of a source, without comments and layout; ScriptError where it is broken."""
    found: list[tuple[str, str]] = []
    for raw in source.splitlines():
        line = raw.split("#")[0].strip()
        if line:
            found.append(_statement(line))
    return tuple(found)


def _statement(line: str) -> tuple[str, str]:
    for kind, pattern in _PATTERNS.items():
        match = pattern.fullmatch(line)
        if match is None:
            continue
        if kind == "member":
            return (kind, f"{match[1]}.{match[2]}")
        return (match[1], match[2]) if kind == "call" else (kind, match[1])
    raise ScriptError(f"SyntaxError: {line}")


def digest_of(said: list[str]) -> str:
    return hashlib.md5("\n".join(said).encode(), usedforsecurity=False).hexdigest()[:10]


def behave(stage: Stage, view: View) -> Steps:
    """Run a stage's command up to its outs; what they will hold."""
    command = stage.commands[0]
    said = [stage.name, command, *sorted(stage.out_paths), stage.wdir, view.python]
    said += [f"env {name} {view.env(name)}" for name in stage.env]
    words = command.split()
    yield
    if words[0] == "python":
        said.append(view.source(words[1]) and (yield from _Interpreter(view).run(words[1])))
    for dep in stage.deps or words[1:]:
        yield
        texts = view.tree(dep)
        if not texts:
            raise ScriptError(f"{dep}: there is no such file")
        said += [f"dep {name} {text.lower()}" for name, text in texts]
    for wanted in stage.params:
        yield
        said += [f"param {name} {value}" for name, value in view.params(wanted.keys)]
    return digest_of(said)


def contents(stage: Stage, value: str) -> dict[str, str]:
    """What each file of the outs that don't persist holds, by path."""
    given: dict[str, str] = {}
    for out in stage.outs:
        if out.path in FOLDER_OUTS:
            given[f"{out.path}/a.txt"] = f"a {value}"
            given[f"{out.path}/deep/b.txt"] = f"b {value}"
        elif not out.persist:
            given[out.path] = f"{posixpath.basename(out.path)} {value}"
    return given


class _Interpreter:
    """One run of a script with the modules that it has imported so far."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._loaded: set[str] = set()

    def run(self, script: str) -> Steps:
        return (yield from self._execute(script, self._view.source(script)))

    def _execute(self, path: str, source: str) -> Steps:
        said = [path]
        self._loaded.add(path)
        for verb, what in statements(source):
            said.append(f"{verb} {what} {(yield from self._do(verb, what, path))}")
        return digest_of(said)

    def _do(self, verb: str, what: str, path: str) -> Steps:
        view = self._view
        if verb in ("import", "member", "load", "optional", "inner"):
            name = f"{posixpath.dirname(path)}.{what}".lstrip(".") if verb == "inner" else what
            return (yield from self._import(name, must=verb != "optional"))
        if verb in ("doc", "const"):
            return ""
        yield
        if verb == "fail":
            raise ScriptError("ValueError: was told to fail")
        if verb == "bump":
            view.bump(what)
            return ""
        if verb == "ls":
            return " ".join(view.listing(what))
        text = view.read(what)
        if text is None and verb == "read":
            raise ScriptError(f"FileNotFoundError: {what}")
        return "none" if text is None else text

    def _import(self, name: str, *, must: bool) -> Steps:
        said: list[str] = []
        folder = ""
        for part in name.split("."):
            place = posixpath.join(folder, part)
            files = [f for f in (f"{place}/__init__.py", f"{place}.py") if self._view.is_module(f)]
            if files and files[0] not in self._loaded:
                self._loaded.add(files[0])
                source = yield from self._view.module(files[0])
                said.append((yield from self._execute(files[0], source)))
            elif not files:
                version = self._view.package(name)
                if version is None and must:
                    raise ScriptError(f"ModuleNotFoundError: {name}")
                return f"{name} {version}"
            folder = place
        return " ".join(said)
