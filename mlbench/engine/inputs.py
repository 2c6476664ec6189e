"""What can come to the loop: one frozen value each, put into its one queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbench.domain.commands import Command
from mlbench.domain.events import Event
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Plan, Reason
from mlbench.domain.runs import TestCounts


@dataclass(frozen=True, slots=True)
class Asked:
    """A face or the inbox asks for something; the reply goes to `id`."""

    id: str
    command: Command


@dataclass(frozen=True, slots=True)
class TreeChanged:
    """The watch saw these paths change and then stay quiet."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The tree was looked at, for the run request `request` or for the watch."""

    plan: Plan
    jobs: int
    on_edit: Mapping[str, str]
    request: Asked | None = None


@dataclass(frozen=True, slots=True)
class PlanFailed:
    """A project file is wrong, so nothing can be planned."""

    message: str
    exit_status: int
    request: Asked | None = None


@dataclass(frozen=True, slots=True)
class StageBegan:
    """A stage's command was started."""

    run: str
    stage: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage ended, in whatever way."""

    run: str
    stage: str
    outcome: StageOutcome
    seconds: float
    key: str | None
    reasons: tuple[Reason, ...] = ()
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: TestCounts | None = None


@dataclass(frozen=True, slots=True)
class InputMoved:
    """An input of a running stage was edited, so many seconds after its command started."""

    run: str
    stage: str
    path: str
    running_seconds: float


@dataclass(frozen=True, slots=True)
class RunClosed:
    """A run is recorded, judged and exported as far as it goes."""

    run: str


@dataclass(frozen=True, slots=True)
class Happened:
    """A hand has something to tell, and may have carried out a command by it."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Quit:
    """The holder lets the loop go: what runs is stopped first."""


Input = (
    Asked
    | TreeChanged
    | Planned
    | PlanFailed
    | StageBegan
    | StageDone
    | InputMoved
    | RunClosed
    | Happened
    | Quit
)
