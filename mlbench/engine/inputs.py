"""What can come to the loop: one frozen value each, put into its one queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from mlbench.domain.commands import Command
from mlbench.domain.events import Event
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Plan, Reason
from mlbench.domain.records import dataclass
from mlbench.domain.runs import TestCounts
from mlbench.domain.stages import Project
from mlbench.engine.machine import Machine


@dataclass(frozen=True, slots=True)
class Asked:
    """A face asks for something; the reply goes to `id`.

    `is_foreign` says that it came through the inbox, from another terminal.
    """

    id: str
    command: Command
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class TreeChanged:
    """The watch saw these paths change and then stay quiet; no paths: look at everything."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """A running stage as of a plan: for how long, and which of its inputs was edited, if one."""

    run: str
    stage: str
    seconds: float
    moved: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """The tree was looked at, for the run request `request` or for the watch.

    `looks` are the stages whose commands were running then.
    """

    plan: Plan
    project: Project
    machine: Machine
    request: Asked | None = None
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanFailed:
    """A project file is wrong, so nothing can be planned."""

    message: str
    exit_status: int
    request: Asked | None = None


@dataclass(frozen=True, slots=True)
class VariantMade:
    """A variant stands, for `request`, or for a run that the holder before left there."""

    variant: str
    plan: Plan
    project: Project
    machine: Machine
    request: Asked | None = None


@dataclass(frozen=True, slots=True)
class VariantFailed:
    """A variant could not be made as asked for."""

    request: Asked
    message: str
    exit_status: int


@dataclass(frozen=True, slots=True)
class StageBegan:
    """A stage's command was started at `at`, by us or by the holder before."""

    run: str
    stage: str
    reasons: tuple[Reason, ...]
    at: str
    is_adopted: bool = False


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage ended, in whatever way.

    `moved` is the input that overtook it; `moved_by_itself` whether the stage wrote that, None
    where nobody can tell.
    """

    run: str
    stage: str
    outcome: StageOutcome
    seconds: float
    key: str | None
    reasons: tuple[Reason, ...] = ()
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: TestCounts | None = None
    moved: str | None = None
    moved_by_itself: bool | None = None
    advice: tuple[str, ...] = ()
    cpu_seconds: float | None = None
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True)
class StageLeft:
    """A stage was let go as asked: its command goes on without us, or was never started."""

    run: str
    stage: str


@dataclass(frozen=True, slots=True)
class RunClosed:
    """A run is recorded, judged and exported as far as it goes."""

    run: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A run on its way as the holder before wrote it down.

    `outcomes` are those that another build would not find again, and `endings` what was told of
    them; `seats` the GPUs that were given to a stage; `was_left` says that its holder let it go in
    good order.
    """

    run: str
    name: str
    origin: str
    started: float
    order: tuple[str, ...]
    jobs: int
    forced: tuple[str, ...] = ()
    outcomes: Mapping[str, StageOutcome] = field(default_factory=dict)
    endings: Mapping[str, StageDone] = field(default_factory=dict)
    seats: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requests: tuple[str, ...] = ()
    was_left: bool = False
    variant: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A stage that the holder before started and that can be gone on with."""

    run: str
    stage: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """What the holder before left on its way: comes first, if at all.

    `variants` are those of the kept runs that have one.
    """

    kept: tuple[Kept, ...]
    unfinished: tuple[Unfinished, ...]
    variants: tuple[VariantMade, ...] = ()


@dataclass(frozen=True, slots=True)
class Happened:
    """A hand has something to tell, and may have carried out a command by it."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Quit:
    """The holder lets the loop go: what it started is stopped first, or left to run on.

    What another terminal asked for is left in any case.
    """

    leave_running: bool = False


Input = (
    Asked
    | TreeChanged
    | Planned
    | PlanFailed
    | VariantMade
    | VariantFailed
    | StageBegan
    | StageDone
    | StageLeft
    | RunClosed
    | Resumed
    | Happened
    | Quit
)
