"""What is written down before a stage is started, so that any later process can go on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.plan import Reason
from mlbench.domain.stages import Stage
from mlbench.pipeline.fingerprint import Fingerprint
from mlbench.pipeline.tree import Stat, Tree

# The longest tick of a kernel's clock for stamps; of a file system that keeps no finer time.
_TICK_NS = 10_000_000
_WHOLE_SECOND_NS = 1_000_000_000
_UNSAFE = {"/": "%2F", "%": "%25"}


@dataclass(frozen=True, slots=True)
class Launch:
    """One stage on its way: what it was, what it began with, and which outs are set aside.

    `seen_before` are the files that it was found to read when it ran last, and `settled` what no
    stat tells of that, with its value; `moved` are the outs that were there and went aside.
    `gpus` are the ids that it was given; `is_lost` says that its outs are not to be kept, whatever
    is there.
    """

    stage: Stage
    run: str
    folder: str
    key: str
    parts: Mapping[str, str]
    chains: Mapping[str, str]
    watched: Mapping[str, Any]
    params_files: Mapping[str, Any]
    seen_before: Mapping[str, Any]
    settled: Mapping[str, str]
    reasons: tuple[Reason, ...]
    started: float
    moved: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    is_lost: bool = False
    in_tree: bool = True

    @property
    def fingerprint(self) -> Fingerprint:
        """What the stage began with."""
        return Fingerprint(
            self.key, self.parts, self.chains, stats_in(self.watched), stats_in(self.params_files)
        )


class Intents:
    """The launches of one tree, one file a stage; there is none where nothing is under way."""

    def __init__(self, tree: Tree, folder: Path) -> None:
        """`folder` holds the files; it is made with the first."""
        self._tree = tree
        self._folder = folder

    def all(self) -> tuple[Launch, ...]:
        """Every launch that is not done with, by stage."""
        names = (name for name in self._tree.names(self._folder) if name.endswith(".json"))
        found = (self._read(self._folder / name) for name in names if not name.startswith("."))
        return tuple(launch for launch in found if launch is not None)

    def get(self, stage: str) -> Launch | None:
        """The launch of a stage that is not done with."""
        return self._read(self._path(stage))

    def write(self, launch: Launch) -> int:
        """Keep a launch durably; gives the ctime (ns) of its file, the mark of this moment."""
        path = self._path(launch.stage.name)
        body = json.dumps(to_plain(launch), ensure_ascii=False, separators=(",", ":"))
        self._tree.write(path, body.encode("utf-8", "surrogatepass"))
        return self.mark(launch.stage.name)

    def mark(self, stage: str) -> int:
        """When a stage's launch was written down, by the clock of the tree's stamps."""
        stat = self._tree.stat(self._path(stage))
        return stat[2] if stat is not None else 0

    def lose(self, launch: Launch) -> None:
        """Write down that a launch's outs are not to be kept."""
        if not launch.is_lost:
            self.write(replace(launch, is_lost=True))

    def clear(self, stage: str) -> None:
        """The stage is done with."""
        self._tree.remove(self._path(stage))

    def sweep(self) -> None:
        """Drop what a crash left half written."""
        for name in self._tree.names(self._folder):
            if name.startswith("."):
                self._tree.remove(self._folder / name)

    def _path(self, stage: str) -> Path:
        return self._folder / f"{file_name(stage)}.json"

    def _read(self, path: Path) -> Launch | None:
        try:
            return from_plain(Launch, json.loads(self._tree.read(path)))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def pause_until_later(launch: Launch, mark: int, now: int) -> int:
    """How long (ns) to wait until a stamp is later than those of all inputs; 0: it is, by `mark`.

    An input that is altered and altered back in one tick, and read in between, tells nothing.
    """
    known = (launch.watched, launch.params_files, launch.seen_before)
    stats = (stat for stats in known for stat in stats_in(stats).values())
    newest = max((stat[2] for stat in stats if stat is not None), default=0)
    if mark > newest:
        return 0
    tick = _TICK_NS if newest % _WHOLE_SECOND_NS else _WHOLE_SECOND_NS
    return max(1, min(newest + tick - now, tick))


def file_name(stage: str) -> str:
    """A stage's name as that of a file."""
    return "".join(_UNSAFE.get(sign, sign) for sign in stage)


def stats_in(plain: Mapping[str, Any]) -> dict[str, Stat | None]:
    """Stats as they are written down: JSON knows no tuples."""
    return {
        name: None if stat is None else (stat[0], stat[1], stat[2], stat[3])
        for name, stat in plain.items()
    }
