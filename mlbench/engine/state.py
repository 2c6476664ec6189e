"""What the loop knows between two inputs, as frozen values."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import field, replace
from typing import Any

from mlbench.domain.graph import Needs
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Plan, Reason
from mlbench.domain.records import dataclass
from mlbench.domain.stages import Stage
from mlbench.engine.inputs import Asked, Kept, StageDone, Unfinished
from mlbench.engine.machine import Machine

WATCH_ORIGIN = "watch"
# Until the first plan says what there is.
NO_MACHINE = Machine(cores=1, gpus=(), memory=0)


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a run that begins now would be called, and when that is, in seconds since the epoch."""

    id: str
    name: str
    started: float


@dataclass(frozen=True, slots=True)
class Seat:
    """A running stage's place: its GPUs, since when and why its command runs, if it does yet.

    `is_stopping`: it was told to end.
    """

    gpus: tuple[str, ...] = ()
    began: str = ""
    reasons: tuple[Reason, ...] = ()
    is_stopping: bool = False


@dataclass(frozen=True, slots=True)
class Flight:
    """One run on its way; once it is `laid_out`, the methods keep its parts in step.

    `order` are its stages: those `waiting`, those `running`, and those that have ended, in
    `outcomes`; `endings` is what was told of those that do not stand, `free` are those that wait
    for no other of the flight, `fallen` the outcomes that do not stand. `reads` are the stages
    whose outs a stage reads, `needs` those of them that are of this flight, `users` the other way
    round. `is_foreign`: another terminal asked for it. `variant` is the slot of the snapshot where
    it runs with the `params` that were set for it; without one it runs in the project.
    """

    run: str
    name: str
    origin: str
    started: float
    order: tuple[str, ...]
    reads: Needs
    needs: Needs
    stages: Mapping[str, Stage]
    jobs: int
    waiting: tuple[str, ...] = ()
    running: Mapping[str, Seat] = field(default_factory=dict)
    outcomes: Mapping[str, StageOutcome] = field(default_factory=dict)
    endings: Mapping[str, StageDone] = field(default_factory=dict)
    forced: frozenset[str] = frozenset()
    requests: tuple[str, ...] = ()
    is_foreign: bool = False
    is_resumed: bool = False
    is_open: bool = False
    variant: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    users: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    fallen: Mapping[str, StageOutcome] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether every stage has ended."""
        return not self.running and not self.waiting

    @property
    def is_by_hand(self) -> bool:
        """Whether somebody asked for it and waits."""
        return self.origin != WATCH_ORIGIN

    def laid_out(self) -> Flight:
        """The flight with all that follows from its order, what runs and what has ended."""
        users: dict[str, list[str]] = {name: [] for name in self.order}
        for name in self.order:
            for before in self.needs[name]:
                users[before].append(name)
        begun = {*self.outcomes, *self.running}
        waiting = tuple(name for name in self.order if name not in begun)
        return replace(
            self,
            users={name: tuple(by) for name, by in users.items()},
            waiting=waiting,
            free=tuple(name for name in waiting if self._is_free(name)),
            fallen=_fallen(self.outcomes),
        )

    def seated(self, stage: str, seat: Seat) -> Flight:
        """The flight with a stage running."""
        return replace(
            self,
            waiting=_without(self.waiting, (stage,)),
            free=_without(self.free, (stage,)),
            running={**self.running, stage: seat},
        )

    def unseated(self, stage: str) -> Flight:
        """The flight with a stage waiting again."""
        running = {name: seat for name, seat in self.running.items() if name != stage}
        return replace(self, running=running).laid_out()

    def with_ending(self, done: StageDone) -> Flight:
        """The flight with a stage ended, and why where it does not stand."""
        flight = self.ended({done.stage: done.outcome})
        if done.outcome.stands:
            return flight
        return replace(flight, endings={**self.endings, done.stage: done})

    def ended(self, outcomes: Mapping[str, StageOutcome]) -> Flight:
        """The flight with these stages ended, whether they were running or waiting."""
        if not outcomes:
            return self
        # Mostly one that ran; and thousands may wait.
        did_wait = not outcomes.keys() <= self.running.keys()
        after = replace(
            self,
            running={name: seat for name, seat in self.running.items() if name not in outcomes},
            waiting=_without(self.waiting, outcomes) if did_wait else self.waiting,
            outcomes={**self.outcomes, **outcomes},
            fallen={**self.fallen, **_fallen(outcomes)},
        )
        freed = {
            user
            for name in outcomes
            for user in self.users[name]
            if user not in after.outcomes and user not in after.running and after._is_free(user)
        }
        free = [name for name in self.free if name not in outcomes and name not in freed]
        return replace(after, free=(*free, *sorted(freed)))

    def _is_free(self, stage: str) -> bool:
        return all(map(self.stands, self.needs[stage]))

    def stands(self, stage: str) -> bool:
        """Whether a stage has ended with outs that can be built on."""
        outcome = self.outcomes.get(stage)
        return outcome is not None and outcome.stands

    def hopeless(self) -> dict[str, StageOutcome]:
        """The stages that can't run any more, for something before them did not come about."""
        if not self.fallen:
            return {}
        lost = dict(self.fallen)
        for name in self.waiting:
            fallen = [lost[up] for up in self.needs[name] if up in lost]
            if fallen:
                lost[name] = _consequence(fallen)
        return {name: lost[name] for name in self.waiting if name in lost}


@dataclass(frozen=True, slots=True)
class Blame:
    """How often in a row one and the same file overtook a stage, and when it did last.

    `is_certain`: the stage was seen to write it. `key` is the stage's as of the last plan, and
    `has_moved` says that the file changed since.
    """

    path: str
    times: int
    at: float
    is_certain: bool
    key: str | None = None
    has_moved: bool = True


@dataclass(frozen=True, slots=True)
class LoopState:
    """The whole state of the loop.

    `given_up` maps a stage to the key with which it failed or was stopped: the watch does not
    start that again by itself; `blames` are the stages that were overtaken, `blamed` those that
    seem to overtake themselves. While `planning`, `asking` is the request that is planned,
    `called_off` says that it was stopped, and `unsettled` are the stages that were running since,
    of which the plan tells nothing. `copying` are the requests for which a variant is being made.
    `releases` wait for a look begun after them, `looked_for` for the one under way.
    `restoring` maps the command that brings outs back to their stages, and `restored` says that
    one has since the last plan was begun; `left_alone` are the keys of all stages as of then, as
    long as they are these. `kept` and `unfinished` are what the holder before left,
    until there is a plan to go on with it, and `stops` came for that meanwhile.
    """

    watching: bool = False
    plan: Plan | None = None
    jobs: int = 1
    machine: Machine = NO_MACHINE
    flights: tuple[Flight, ...] = ()
    planning: bool = False
    asking: Asked | None = None
    called_off: bool = False
    unsettled: frozenset[str] = frozenset()
    waiting: tuple[Asked, ...] = ()
    copying: tuple[Asked, ...] = ()
    releases: tuple[Asked, ...] = ()
    looked_for: tuple[Asked, ...] = ()
    closing: frozenset[str] = frozenset()
    carrying: int = 0
    restoring: Mapping[str, frozenset[str]] = field(default_factory=dict)
    restored: bool = False
    left_alone: Mapping[str, str | None] = field(default_factory=dict)
    given_up: Mapping[str, str | None] = field(default_factory=dict)
    blames: Mapping[str, Blame] = field(default_factory=dict)
    blamed: frozenset[str] = frozenset()
    tree_moved: bool = False
    kept: tuple[Kept, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    stops: tuple[Asked, ...] = ()
    quitting: bool = False
    last_problem: str = ""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or waiting."""
        pending = self.planning or self.waiting or self.copying or self.releases
        return not (self.flights or pending or self.closing or self.carrying)

    @property
    def in_tree(self) -> tuple[Flight, ...]:
        """The flights that run in the project itself."""
        return tuple(flight for flight in self.flights if not flight.variant)

    @property
    def running(self) -> frozenset[str]:
        """The stages that run in the project, in whatever flight."""
        return frozenset(name for flight in self.in_tree for name in flight.running)

    @property
    def being_restored(self) -> frozenset[str]:
        """The stages whose outs are being brought back from the cache."""
        return frozenset(name for stages in self.restoring.values() for name in stages)

    def flight(self, run: str) -> Flight | None:
        """The flight of this run; None where there is none any more."""
        return next((flight for flight in self.flights if flight.run == run), None)


def _fallen(outcomes: Mapping[str, StageOutcome]) -> dict[str, StageOutcome]:
    return {name: outcome for name, outcome in outcomes.items() if not outcome.stands}


def _without(names: tuple[str, ...], gone: Container[str]) -> tuple[str, ...]:
    return tuple([name for name in names if name not in gone])


def _consequence(before: list[StageOutcome]) -> StageOutcome:
    if StageOutcome.FAILED in before or StageOutcome.BLOCKED in before:
        return StageOutcome.BLOCKED
    return StageOutcome.CANCELLED if StageOutcome.CANCELLED in before else StageOutcome.OVERTAKEN
