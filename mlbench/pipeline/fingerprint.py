"""A stage's fingerprint: every input that is known before it runs, each by name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbench.domain.graph import overlaps
from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.stages import Project, Stage
from mlbench.inside.secrets import HIDDEN, is_secret
from mlbench.pipeline.code import CodeGraph
from mlbench.pipeline.digests import Digests, is_racy
from mlbench.pipeline.left_behind import is_left_behind
from mlbench.pipeline.params import Params
from mlbench.pipeline.tree import Stat, Tree
from mlbench.pipeline.words import runs_python, words_read
from mlbench.project import interpreter
from mlbench.project.stage_table import DEFAULT_PARAMS
from mlbench.system.content import hash_bytes

MISSING = "missing"
BY_STAT = "stat:"
FOLDER = "folder"
"""The value of a folder that was found to be opened: what it holds is another input."""
_HOLD_NOTHING = (MISSING, FOLDER)
Watched = Mapping[str, Stat | None]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`parts` maps `kind:name` of each input to its value or hash; `key` is the hash of them all.

    `chains` says for a code file how the stage reaches it; `watched` are the files behind the
    parts with their stat when they were hashed, which tells whether one moved since, and
    `params_files` the same for the files whose keys the stage names.
    """

    key: str
    parts: Mapping[str, str]
    chains: Mapping[str, str] = field(default_factory=dict)
    watched: Watched = field(default_factory=dict)
    params_files: Watched = field(default_factory=dict)


def part_name(kind: ReasonKind, what: str) -> str:
    """The name of an input in `parts`."""
    return f"{kind.word}:{what}"


def param_value(name: str, value: Any) -> str:
    """A parameter's value as it stands in `parts`: JSON, and of a secret no more than its hash."""
    text = json.dumps(value, default=str)
    return json.dumps(f"{HIDDEN} {hash_bytes(text.encode())}") if is_secret(name) else text


def params_in(parts: Mapping[str, str]) -> dict[str, Any]:
    """The parameters among the parts of a fingerprint, by dotted name."""
    prefix = part_name(ReasonKind.PARAM, "")
    return {
        name.removeprefix(prefix).rpartition(":")[2]: json.loads(value)
        for name, value in parts.items()
        if name.startswith(prefix)
    }


def files_in(parts: Mapping[str, str]) -> dict[str, str]:
    """The files and folders among inputs by path, each with the hash of what it holds.

    Listings, and what was looked for in vain, hold nothing.
    """
    kinds = (part_name(ReasonKind.FILE, ""), part_name(ReasonKind.CODE, ""))
    return {
        name.partition(":")[2]: value
        for name, value in parts.items()
        if name.startswith(kinds) and not name.endswith("/") and value not in _HOLD_NOTHING
    }


def key_of(parts: Mapping[str, str]) -> str:
    """The key of a set of parts, whatever their order."""
    body = json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")
    return hash_bytes(body)[:32]


def identity(key: str, found: Mapping[str, str]) -> str:
    """What tells one state of a stage from any other: its key and all that it was found to read."""
    return key_of({**found, "": key}) if found else key


class Fingerprinter:
    """Takes fingerprints of one project's stages as its tree stands at the moment."""

    def __init__(self, tree: Tree, root: Path, digests: Digests) -> None:
        """Remember hashes in `digests` and parsed imports for as long as this object lives."""
        self._tree = tree
        self._root = root
        self._top = os.path.join(root, "")
        self._digests = digests
        self._code = CodeGraph(tree, root)
        self._params = Params(tree, root)
        self._python: tuple[tuple[str, Stat | None], str] | None = None

    def take(self, stage: Stage, project: Project) -> Fingerprint:
        """The fingerprint of a stage now; ProjectFileError where a params key is not there."""
        taking = _Taking()
        # The stat is taken before the content is read: an edit between the two then shows as a
        # moved stat, never as a fingerprint of the new content under the old stat.
        self._take_call(taking, stage, project)
        self._take_params(taking, stage)
        self._take_files(taking, stage)
        return Fingerprint(
            key_of(taking.parts),
            taking.parts,
            taking.chains,
            taking.watched,
            taking.params_files,
        )

    def secrets(self, stage: Stage) -> tuple[str, ...]:
        """The secret values in the params files of a stage, by their names, as they are now."""
        return self._params.secrets(stage)

    def _take_call(self, taking: _Taking, stage: Stage, project: Project) -> None:
        taking.add(ReasonKind.COMMAND, "cmd", "\n".join(stage.commands))
        taking.add(ReasonKind.COMMAND, "wdir", stage.wdir)
        taking.add(ReasonKind.COMMAND, "outs", "\n".join(sorted(stage.out_paths)))
        taking.add(ReasonKind.PYTHON, "python", self._interpreter(project.python))
        for name in stage.env:
            value = os.environ.get(name)
            known = MISSING if value is None else hash_bytes(os.fsencode(value))
            taking.add(ReasonKind.ENV, name, known)

    def _interpreter(self, python: str) -> str:
        """An interpreter's place and its bytes: an upgrade in place makes it another one."""
        begun, stat = self._tree.now(), self._tree.stat(python)
        if self._python is not None and self._python[0] == (python, stat):
            return self._python[1]
        binary = self._digests.content(self._tree.real(Path(python))) or MISSING
        known = f"{interpreter.identity(python)} {binary[:8]}"
        if stat is None or not is_racy(stat, begun):
            self._python = ((python, stat), known)
        return known

    def _take_params(self, taking: _Taking, stage: Stage) -> None:
        for wanted in stage.params:
            file = self._params.file(wanted)
            taking.params_files[file] = self._tree.stat(self._at(file))
            place = "" if wanted.file == DEFAULT_PARAMS else f"{wanted.file}:"
            for name, value in self._params.select(wanted).items():
                taking.add(ReasonKind.PARAM, f"{place}{name}", param_value(name, value))

    def _take_files(self, taking: _Taking, stage: Stage) -> None:
        known = self._known_files(stage)
        reached = self._code.reached_by(stage, known)
        for name, module in reached.items():
            taking.watched[name] = self._tree.stat(module.path)
            taking.chains[name] = " → ".join(module.chain)
            taking.add(ReasonKind.CODE, name, self._digests.meaning(module.path) or MISSING)
        for dep in dict.fromkeys((*stage.deps, *self._named_files(stage))):
            if dep in reached:
                continue
            if dep in known:
                taking.watched[dep], value = known[dep]
                taking.add(ReasonKind.FILE, dep, value)
            else:
                taking.watched |= stats_below(self._tree, self._root, dep)
                taking.add(ReasonKind.FILE, dep, self._value(stage, dep, taking.watched))

    def _known_files(self, stage: Stage) -> dict[str, tuple[Stat, str]]:
        """The deps that are files of which the stat alone tells what they hold, with both."""
        known: dict[str, tuple[Stat, str]] = {}
        for dep in stage.deps:
            if dep not in stage.stat_deps:
                place = self._at(dep)
                stat = self._tree.stat(place)
                value = self._digests.known_meaning(place, stat)
                if stat is not None and value is not None:
                    known[dep] = (stat, value)
        return known

    def _at(self, name: str) -> str:
        return name if name.startswith("/") else self._top + name

    def _value(self, stage: Stage, dep: str, watched: Watched) -> str:
        if dep in stage.stat_deps:
            return stat_value({n: stat for n, stat in watched.items() if overlaps(dep, n)})
        return self._digests.meaning(self._at(dep)) or MISSING

    def _named_files(self, stage: Stage) -> Iterator[str]:
        """What a command that is no Python names: nothing sees what such a program reads."""
        for command in stage.commands:
            if runs_python(command):
                continue
            for word in words_read(command):
                if word and not os.path.isabs(word):
                    name = os.path.normpath(os.path.join(stage.wdir, word))
                    if name in stage.deps:
                        continue
                    is_own = any(overlaps(name, out) for out in stage.out_paths)
                    if not is_own and self._tree.is_file(self._at(name)):
                        yield name


@dataclass(slots=True)
class _Taking:
    """A fingerprint on its way."""

    parts: dict[str, str] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    watched: dict[str, Stat | None] = field(default_factory=dict)
    params_files: dict[str, Stat | None] = field(default_factory=dict)

    def add(self, kind: ReasonKind, what: str, value: str) -> None:
        self.parts[part_name(kind, what)] = value


def stat_value(stats: Watched) -> str:
    """The value of a dep that counts by the sizes and times of its files."""
    sizes = {name: str(stat[:2]) for name, stat in stats.items() if stat is not None}
    return f"{BY_STAT}{key_of(sizes)}" if sizes else MISSING


def stats_below(tree: Tree, root: Path, name: str) -> dict[str, Stat | None]:
    """The stat of a file, or of every file below a folder, by the name that the dep gives it."""
    place = os.path.join(root, name)
    if not tree.is_folder(place):
        return {name: tree.stat(place)}
    path = Path(place)
    # Tools' caches come and go inside a folder and move its own stat; its files tell enough.
    stats: dict[str, Stat | None] = {name: None}
    for inner in tree.files(path, is_left_behind):
        stats[f"{name}/{inner.relative_to(path).as_posix()}"] = tree.stat(inner)
    return stats


def moved_since(tree: Tree, root: Path, watched: Watched) -> str | None:
    """The first input whose stat is not what it was when the fingerprint was taken.

    The stat and never the content: an edit and its undoing (A→B→A) may have been read in between.
    """
    for name, stat in watched.items():
        now = tree.stat(os.path.join(root, name))
        if stat is not None and now != stat:
            return name
        if stat is None and now is not None and not tree.is_folder(root / name):
            return name
    return None
