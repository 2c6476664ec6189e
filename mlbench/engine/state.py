"""What the loop knows between two inputs, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbench.domain.graph import Needs
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Plan
from mlbench.engine.inputs import Asked


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a run that begins now would be called, and when that is, in seconds since the epoch."""

    id: str
    name: str
    started: float


@dataclass(frozen=True, slots=True)
class Flight:
    """One run on its way: `order` are its stages, `outcomes` those that have ended."""

    run: str
    name: str
    origin: str
    started: float
    order: tuple[str, ...]
    needs: Needs
    jobs: int
    forced: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    outcomes: Mapping[str, StageOutcome] = field(default_factory=dict)
    on_edit: Mapping[str, str] = field(default_factory=dict)
    requests: tuple[str, ...] = ()
    stopping: bool = False

    @property
    def is_over(self) -> bool:
        """Whether every stage has ended."""
        return not self.running and set(self.outcomes) == set(self.order)

    def ready(self) -> tuple[str, ...]:
        """The stages that may start now, as many as there are free jobs."""
        free = self.jobs - len(self.running)
        waiting = [
            name
            for name in self.order
            if name not in self.outcomes
            and name not in self.running
            and all(self.stands(up) for up in self.needs[name] if up in self.order)
        ]
        return tuple(waiting[: max(0, free)])

    def stands(self, stage: str) -> bool:
        """Whether a stage has ended with outs that can be built on."""
        outcome = self.outcomes.get(stage)
        return outcome is not None and outcome.stands

    def hopeless(self) -> dict[str, StageOutcome]:
        """The stages that can't run any more, for something before them did not come about."""
        lost: dict[str, StageOutcome] = {}
        for name in self.order:
            if name in self.outcomes or name in self.running:
                continue
            before = [
                {**self.outcomes, **lost}.get(up) for up in self.needs[name] if up in self.order
            ]
            fallen = [outcome for outcome in before if outcome is not None and not outcome.stands]
            if fallen:
                lost[name] = _consequence(fallen)
            elif self.stopping:
                lost[name] = StageOutcome.CANCELLED
        return lost


@dataclass(frozen=True, slots=True)
class LoopState:
    """The whole state of the loop.

    `given_up` maps a stage to the key with which it failed or was stopped: the watch does not
    start that again by itself. `tree_moved` is set while a change waits for the run in flight,
    `called_off` when a stop came while a run was still being planned.
    """

    watching: bool = False
    plan: Plan | None = None
    flight: Flight | None = None
    planning: bool = False
    called_off: bool = False
    waiting: tuple[Asked, ...] = ()
    closing: frozenset[str] = frozenset()
    carrying: int = 0
    given_up: Mapping[str, str | None] = field(default_factory=dict)
    tree_moved: bool = False
    quitting: bool = False
    last_problem: str = ""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or waiting."""
        return not (self.flight or self.planning or self.waiting or self.closing or self.carrying)


def worth_starting(plan: Plan, given_up: Mapping[str, str | None]) -> frozenset[str]:
    """The stages of the run that a save should start; none where nothing would come of it.

    A run is one state of all the stages. Left out is only what failed or was stopped with the
    same fingerprint, and what waits for that.
    """
    stale = {status.name for status in plan.stale}
    hopeless: set[str] = set()
    for status in plan.stages:
        failed_before = status.name in given_up and given_up[status.name] == status.key
        after_hopeless = any(up in hopeless for up in plan.needs[status.name])
        if status.name in stale and (failed_before or after_hopeless):
            hopeless.add(status.name)
    if stale <= hopeless:
        return frozenset()
    return frozenset(status.name for status in plan.stages) - hopeless


def _consequence(before: list[StageOutcome]) -> StageOutcome:
    if StageOutcome.FAILED in before or StageOutcome.BLOCKED in before:
        return StageOutcome.BLOCKED
    return StageOutcome.CANCELLED if StageOutcome.CANCELLED in before else StageOutcome.OVERTAKEN
