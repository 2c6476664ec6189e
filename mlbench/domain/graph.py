"""The graph of stages: who needs what, in which order, and where it bites its tail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

from mlbench.domain.stages import Stage

# Relative, without a part that PurePosixPath, ten times as slow, would write otherwise.
_CLEAN = re.compile(r"[^/.][^/]*(?:/[^/.][^/]*)*")

Needs = Mapping[str, frozenset[str]]


class StageCycleError(ValueError):
    """Stages need each other in a circle; `names` walks it once, first name repeated last."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Keep the circle for whoever phrases it."""
        super().__init__(" → ".join(names))
        self.names = names


def overlaps(one: str, other: str) -> bool:
    """Whether one path is the other or lies inside it."""
    a, b = _and_above(one), _and_above(other)
    return a[0] in b or b[0] in a


class PathIndex:
    """Whose paths overlap a given one, found by its prefixes and not by a look at every path."""

    def __init__(self) -> None:
        """Begin empty."""
        self._at: dict[str, list[str]] = {}
        self._below: dict[str, list[str]] = {}

    @classmethod
    def of_outs(cls, stages: Iterable[Stage]) -> PathIndex:
        """The outs of stages, each with its stage's name."""
        index = cls()
        for stage in stages:
            for out in stage.outs:
                index.add(out.path, stage.name)
        return index

    def add(self, path: str, owner: str) -> list[str]:
        """Note a path and whose it is; gives the owners of those that it overlaps."""
        prefixes = _and_above(path)
        found = self._owners(prefixes)
        self._at.setdefault(prefixes[0], []).append(owner)
        for prefix in prefixes[1:]:
            self._below.setdefault(prefix, []).append(owner)
        return found

    def owners_of(self, path: str) -> list[str]:
        """The owners of the paths that overlap this one; one with several comes several times."""
        return self._owners(_and_above(path))

    def _owners(self, prefixes: list[str]) -> list[str]:
        found: list[str] = []
        for prefix in prefixes:
            if prefix in self._at:
                found += self._at[prefix]
        found += self._below.get(prefixes[0], ())
        return found


def needs_of(stages: Iterable[Stage]) -> dict[str, frozenset[str]]:
    """For each stage the stages whose outs it depends on, in the order of the file."""
    stages = tuple(stages)
    makers = PathIndex.of_outs(stages)
    return {
        stage.name: frozenset(
            maker for dep in stage.deps for maker in makers.owners_of(dep) if maker != stage.name
        )
        for stage in stages
    }


def _and_above(path: str) -> list[str]:
    """A path as PurePosixPath writes it, and everything above it up to `.`, which holds all."""
    if not _CLEAN.fullmatch(path):
        pure = PurePosixPath(path)
        return list(dict.fromkeys([str(pure), *map(str, pure.parents), "."]))
    found = [path]
    end = path.rfind("/")
    while end > 0:
        found.append(path[:end])
        end = path.rfind("/", 0, end)
    found.append(".")
    return found


def in_order(needs: Needs) -> tuple[str, ...]:
    """Stage names with every stage after those it needs; StageCycleError for a circle.

    Where the graph leaves the choice, the order of `needs` decides, in every process alike.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(needs, ()))
    for name, wanted in needs.items():
        sorter.add(name, *sorted(wanted))
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        raise StageCycleError(tuple(reversed(error.args[1]))) from None


def with_ancestors(names: Iterable[str], needs: Needs) -> frozenset[str]:
    """The named stages and everything that they need, near and far."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(needs[name])
    return frozenset(found)


def with_descendants(names: Iterable[str], needs: Needs) -> frozenset[str]:
    """The named stages and everything that is built from them, near and far."""
    users: dict[str, set[str]] = {name: set() for name in needs}
    for name, wanted in needs.items():
        for other in wanted:
            users[other].add(name)
    return with_ancestors(names, {name: frozenset(by) for name, by in users.items()})
