"""What the Python processes of a stage were seen to read, write, list and import."""

from __future__ import annotations

import functools
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlbench.inside import seenlog
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.tree import Stat

_KIND = re.compile(rb"[\xf8-\xff]")
_UNTIDY = re.compile(r"/\.{0,2}(?:/|$)")
_SITE = re.compile(r".*/(?:site|dist)-packages/")
_STDLIB = re.compile(r".*/lib(?:64)?/python3\.\d+t?/")
_INSIDE = f"{os.path.dirname(os.path.abspath(seenlog.__file__))}/"
# What a machine's administrator and its package manager answer for; data sets lie elsewhere.
_SYSTEM = (
    "/proc /sys /dev /run /etc /usr /bin /sbin /lib /lib32 /lib64 /var/cache /var/run /snap "
    "/System /Library /private/etc /private/var/run /opt/homebrew"
).split()
_TEMPORARY = ("/tmp", "/var/tmp", "/private/tmp")
# What MLflow notes down of its installation; it says nothing of what is computed.
_OF_TOOLS = ("mlflow",)
_OF_AN_INTERPRETER = ("bin", "include", "lib", "lib64", "share")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one stage's Python processes; all paths are absolute and normalised.

    `traced`: at least one process told what it did, and each that did told it to its end. `reads`
    are of files, and of what was not there. `packages` are files in site-packages, one or more of
    each package that was imported; `modules` all other imported files, but the interpreter's own.
    `params_read` has for each declared params file, as declared, the stats that it was read with.
    """

    traced: bool = False
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    listings: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    params_read: Mapping[str, frozenset[Stat]] = field(default_factory=dict)


class Scope:
    """Which paths may be inputs of a project at all.

    In the project all may, but what tools leave behind and environments. Elsewhere, where data
    sets and editable installs lie, all may but what the machine, the interpreter and its packages
    have (these count by version), caches, and temporary files, even where the project is one.
    """

    def __init__(self, root: Path, python: str) -> None:
        """For a project's absolute root and its interpreter."""
        self._roots = tuple({f"{root}/", f"{os.path.realpath(root)}/"})
        temporary = (*_TEMPORARY, tempfile.gettempdir(), os.environ.get("TMPDIR") or "/tmp")
        foreign = [f"{path}/" for path in (*_SYSTEM, *_prefixes(python))]
        foreign += [
            f"{path.rstrip('/')}/" for path in {*temporary, *map(os.path.realpath, temporary)}
        ]
        settings = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        foreign += [f"{settings}/{tool}/" for tool in _OF_TOOLS]
        self._foreign = (_INSIDE, *foreign)
        self._environments = tuple(
            f"{path}/" for path in _prefixes(python) if f"{path}/".startswith(self._roots)
        )

    def counts(self, path: str) -> bool:
        """Whether a file or folder, absolute and normalised, may be an input."""
        for root in self._roots:
            if path.startswith(root):
                inside = path[len(root) :].split("/")
                return not (path.startswith(self._environments) or any(map(is_left_behind, inside)))
            if f"{path}/" == root:
                return True
        if f"{path}/".startswith(self._foreign) or _SITE.match(path) or _STDLIB.match(path):
            return False
        return not any(map(is_left_behind, path.split("/")))

    def of(self, seen: Seen) -> Seen:
        """What was seen, less what can't be an input; packages and params stay."""
        return replace(
            seen,
            reads=frozenset(filter(self.counts, seen.reads)),
            writes=frozenset(filter(self.counts, seen.writes)),
            listings=frozenset(filter(self.counts, seen.listings)),
            modules=frozenset(filter(self.counts, seen.modules)),
        )


@functools.lru_cache(maxsize=16)
def scope_of(root: Path, python: str) -> Scope:
    """The scope of a project and its interpreter, worked out once: it follows many links."""
    return Scope(root, python)


def _prefixes(python: str) -> list[str]:
    """The folders of an interpreter's installation, of its environment and of what is behind it."""
    found = []
    for binary in (python, os.path.realpath(python)):
        prefix = os.path.dirname(os.path.dirname(binary))
        if any(os.path.exists(f"{prefix}/{mark}") for mark in ("pyvenv.cfg", "conda-meta")):
            found.append(prefix)
        else:
            found += [f"{prefix}/{part}" for part in _OF_AN_INTERPRETER]
    return found


def read_seen(folder: Path) -> Seen:
    """What stands in a stage's folder; torn, foreign and missing files never raise."""
    gathering = _Gathering()
    for path in _in_order(folder / seenlog.SEEN_FOLDER):
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        gathering.read(path.name.rpartition("-")[0], data)
    return gathering.seen()


def _in_order(folder: Path) -> list[Path]:
    """Each process's files one after the other."""
    # A process's names differ in the number at the end alone: the shorter one comes first.
    return sorted(folder.glob(f"*{seenlog.SUFFIX}"), key=lambda path: (len(path.name), path.name))


class _Gathering:
    """Takes records in, one file after the other, and sorts out what they mean."""

    def __init__(self) -> None:
        self._paths: dict[bytes, set[str]] = {
            kind: set() for kind in (seenlog.READ, seenlog.WRITE, seenlog.LISTING, seenlog.LOADED)
        }
        self._params: dict[str, set[Stat]] = {}
        self._has_begun = self._is_lost = False
        self._unended: set[str] = set()

    def read(self, process: str, data: bytes) -> None:
        """Take a file in."""
        self._is_lost = self._is_lost or not data or data[-1] == seenlog.LOST
        cwd = ""
        for kind, names in _records(data):
            if kind in self._paths:
                self._paths[kind].update(_absolute(names, cwd))
            elif kind == seenlog.PARAMS:
                for name in names:
                    self._read_params(name)
            elif kind == seenlog.END:
                self._unended.discard(process)
            else:
                cwd = names[0] if names else ""
                self._has_begun = True
                if kind == seenlog.HELD:
                    self._unended.add(process)

    def seen(self) -> Seen:
        """All of it, sorted out."""
        reads = self._paths[seenlog.READ]
        bytecode = {path for path in reads if path.endswith(".pyc")}
        loaded = self._paths[seenlog.LOADED] | set(map(source_of, bytecode))
        modules = frozenset(path for path in loaded if _is_module(path))
        params = {os.path.realpath(path) for path in self._params}
        names = tuple(map(os.path.basename, params))
        return Seen(
            traced=self._has_begun and not self._is_lost and not self._unended,
            reads=frozenset(
                path
                for path in reads - bytecode - modules
                if not os.path.isdir(path)
                and not (names and path.endswith(names) and os.path.realpath(path) in params)
            ),
            writes=frozenset(self._paths[seenlog.WRITE]),
            listings=frozenset(self._paths[seenlog.LISTING]),
            modules=modules,
            packages=frozenset(_packages(loaded)),
            params_read={path: frozenset(stats) for path, stats in self._params.items()},
        )

    def _read_params(self, text: str) -> None:
        try:
            size, mtime, ctime, inode, path = text.split(" ", 4)
            stat = (int(size), int(mtime), int(ctime), int(inode))
        except ValueError:
            return
        self._params.setdefault(path, set()).add(stat)


def _records(data: bytes) -> Iterator[tuple[bytes, list[str]]]:
    begin = 0
    for end in _KIND.finditer(data):
        body = data[begin : end.start()]
        begin = end.end()
        try:
            text = body.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # no record of ours
            continue
        yield end[0], [name for name in text.split("\0") if name]


def _absolute(names: list[str], cwd: str) -> Iterator[str]:
    for name in names:
        if name[0] != "/" and not cwd:
            continue  # the folder that it was in is gone
        path = name if name[0] == "/" else f"{cwd}/{name}"
        if _UNTIDY.search(path):
            # Behind a link `..` is not the folder that stands before it.
            path = os.path.realpath(path) if "/.." in path else os.path.normpath(path)
        yield path


def source_of(bytecode: str) -> str:
    """The module that a .pyc was compiled from; the path itself where that can't be told."""
    folder, _, name = bytecode.rpartition("/")
    prefix = os.environ.get("PYTHONPYCACHEPREFIX")
    if os.path.basename(folder) == "__pycache__":
        folder = os.path.dirname(folder)
    elif prefix and folder.startswith(prefix):
        folder = folder.removeprefix(prefix.rstrip("/"))
    else:
        return bytecode
    return f"{folder}/{name.partition('.')[0]}.py"


def _is_module(path: str) -> bool:
    return not (_SITE.match(path) or _STDLIB.match(path) or path.startswith(_INSIDE))


def _packages(loaded: set[str]) -> Iterator[str]:
    """One file of each regular package in site-packages, each file of those without `__init__`."""
    regular: set[str] = set()
    rest: list[tuple[str, str]] = []
    for path in loaded:
        site = _SITE.match(path)
        if site is None or path.startswith(_INSIDE):
            continue
        top = f"{site[0]}{path[site.end() :].partition('/')[0]}"
        if path == f"{top}/__init__.py":
            regular.add(top)
            yield path
        else:
            rest.append((top, path))
    yield from (path for top, path in rest if top not in regular)
