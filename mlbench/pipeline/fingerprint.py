"""A stage's fingerprint: every input that is known before it runs, each by name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlbench.domain.outcomes import ReasonKind
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.code import CodeGraph
from mlbench.pipeline.digests import Digests, Stat, stat_of
from mlbench.pipeline.ignored import is_left_behind
from mlbench.project.interpreter import identity
from mlbench.project.params import select
from mlbench.project.stage_table import DEFAULT_PARAMS
from mlbench.system.content import files_below, hash_bytes

MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`parts` maps `kind:name` of each input to its value or hash; `key` is the hash of them all.

    `chains` says for a code file how the stage reaches it; `watched` are the files behind the
    parts with their stat when they were hashed, which tells whether one moved since.
    """

    key: str
    parts: Mapping[str, str]
    chains: Mapping[str, str] = field(default_factory=dict)
    watched: Mapping[str, Stat | None] = field(default_factory=dict)


def part_name(kind: ReasonKind, what: str) -> str:
    """The name of an input in `parts`."""
    return f"{kind.word}:{what}"


def params_in(parts: Mapping[str, str]) -> dict[str, Any]:
    """The parameters among the parts of a fingerprint, by dotted name."""
    prefix = part_name(ReasonKind.PARAM, "")
    return {
        name.removeprefix(prefix).rpartition(":")[2]: json.loads(value)
        for name, value in parts.items()
        if name.startswith(prefix)
    }


def key_of(parts: Mapping[str, str]) -> str:
    """The key of a set of parts, whatever their order."""
    return hash_bytes(json.dumps(parts, sort_keys=True).encode())[:32]


class Fingerprinter:
    """Takes fingerprints of one project's stages as its tree stands at the moment."""

    def __init__(self, root: Path, digests: Digests) -> None:
        """Remember hashes in `digests` and parsed imports for as long as this object lives."""
        self._root = root
        self._digests = digests
        self._code = CodeGraph(root)

    def take(self, stage: Stage, project: Project) -> Fingerprint:
        """The fingerprint of a stage now; ProjectFileError where a params key is not there."""
        watched: dict[str, Stat | None] = {}
        chains: dict[str, str] = {}
        parts: dict[str, str] = {}
        for kind, what, value in self._inputs(stage, project, watched, chains):
            parts[part_name(kind, what)] = value
        return Fingerprint(key_of(parts), parts, chains, watched)

    def _inputs(
        self,
        stage: Stage,
        project: Project,
        watched: dict[str, Stat | None],
        chains: dict[str, str],
    ) -> Iterator[tuple[ReasonKind, str, str]]:
        # The stat is taken before the content is read: an edit between the two then shows as a
        # moved stat, never as a fingerprint of the new content under the old stat.
        yield ReasonKind.COMMAND, "cmd", "\n".join(stage.commands)
        yield ReasonKind.COMMAND, "wdir", stage.wdir
        yield ReasonKind.COMMAND, "outs", "\n".join(sorted(stage.out_paths))
        yield ReasonKind.PYTHON, "python", identity(project.python)
        for name in stage.env:
            value = os.environ.get(name)
            yield ReasonKind.ENV, name, MISSING if value is None else hash_bytes(value.encode())
        for wanted in stage.params:
            place = "" if wanted.file == DEFAULT_PARAMS else f"{wanted.file}:"
            for name, value in select(self._root, wanted).items():
                yield ReasonKind.PARAM, f"{place}{name}", json.dumps(value, default=str)
        reached = self._code.reached_by(stage)
        for name, module in reached.items():
            watched[name] = stat_of(module.path)
            chains[name] = " → ".join(module.chain)
            yield ReasonKind.CODE, name, self._digests.meaning(module.path) or MISSING
        for dep in stage.deps:
            if dep not in reached:
                watched |= stats_below(self._root, dep)
                yield ReasonKind.FILE, dep, self._digests.meaning(self._root / dep) or MISSING


def stats_below(root: Path, name: str) -> dict[str, Stat | None]:
    """The stat of a file, or of every file below a folder, by the name that the dep gives it."""
    path = root / name
    if not path.is_dir():
        return {name: stat_of(path)}
    # Tools' caches come and go inside a folder and move its own stat; its files tell enough.
    stats: dict[str, Stat | None] = {name: None}
    for inner in files_below(path, is_left_behind):
        stats[f"{name}/{inner.relative_to(path).as_posix()}"] = stat_of(inner)
    return stats


def moved_since(root: Path, fingerprint: Fingerprint) -> str | None:
    """The first input whose stat is not what it was when the fingerprint was taken.

    The stat and never the content: an edit and its undoing (A→B→A) may have been read in between.
    """
    for name, stat in fingerprint.watched.items():
        now = stat_of(root / name)
        if stat is not None and now != stat:
            return name
        if stat is None and now is not None and not (root / name).is_dir():
            return name
    return None
