"""What is live where, and what an environment would go back to, read off the ledger: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlbench.domain.ledger import history_of, was_live
from mlbench.domain.release import LedgerEntry
from mlbench.domain.stages import EnvironmentSpec, Project


@dataclass(frozen=True, slots=True)
class WayBack:
    """An environment that can be rolled back: what is live, and what was before."""

    environment: str
    model: str
    live: LedgerEntry
    before: LedgerEntry


def live_in(entries: Sequence[LedgerEntry], environment: str, model: str) -> LedgerEntry | None:
    """What an environment serves of a model now."""
    stack = history_of(entries, environment, model)
    return stack[-1] if stack else None


def ways_back(entries: Sequence[LedgerEntry]) -> tuple[WayBack, ...]:
    """Every environment and model with something to go back to."""
    pairs = dict.fromkeys((entry.environment, entry.model) for entry in entries)
    stacks = {pair: history_of(entries, *pair) for pair in pairs}
    return tuple(
        WayBack(environment, model, stack[-1], stack[-2])
        for (environment, model), stack in stacks.items()
        if len(stack) > 1
    )


def first_environment(project: Project) -> EnvironmentSpec | None:
    """Where a candidate may go directly: the first that requires no other."""
    return next((item for item in project.environments if not item.require), None)


def further_environments(project: Project) -> tuple[EnvironmentSpec, ...]:
    """Where a version goes that has been in the first: those that require another."""
    return tuple(item for item in project.environments if item.require)


def not_been_in(
    entries: Sequence[LedgerEntry], environment: EnvironmentSpec, digest: str
) -> tuple[str, ...]:
    """Which environments a model lacks that has to have been there before this one."""
    return tuple(name for name in environment.require if not was_live(entries, name, digest))
