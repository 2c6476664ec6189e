"""The graph of stages: who needs what, in which order, and where it bites its tail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

from mlbench.domain.stages import Stage

Needs = Mapping[str, frozenset[str]]


class StageCycleError(ValueError):
    """Stages need each other in a circle; `names` walks it once, first name repeated last."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Keep the circle for whoever phrases it."""
        super().__init__(" → ".join(names))
        self.names = names


def overlaps(one: str, other: str) -> bool:
    """Whether one path is the other or lies inside it."""
    a, b = PurePosixPath(one).parts, PurePosixPath(other).parts
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


def needs_of(stages: Iterable[Stage]) -> dict[str, frozenset[str]]:
    """For each stage the stages whose outs it depends on, in the order of the file."""
    stages = tuple(stages)
    makers = [(out, stage.name) for stage in stages for out in stage.out_paths]
    return {
        stage.name: frozenset(
            maker
            for out, maker in makers
            if maker != stage.name and any(overlaps(out, dep) for dep in stage.deps)
        )
        for stage in stages
    }


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
