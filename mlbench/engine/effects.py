"""What the loop wants done: one frozen value each, carried out by the hands."""

from __future__ import annotations

from dataclasses import dataclass

from mlbench.domain.commands import Promote, Rollback
from mlbench.domain.events import Event
from mlbench.domain.outcomes import StageOutcome
from mlbench.engine.inputs import Asked
from mlbench.engine.state import Flight


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Read the project's files and look at the tree."""

    request: Asked | None = None


@dataclass(frozen=True, slots=True)
class OpenRun:
    """Note where code and parameters stand as a run begins."""

    run: str


@dataclass(frozen=True, slots=True)
class StartStage:
    """Make one stage up to date."""

    run: str
    stage: str
    force: bool


@dataclass(frozen=True, slots=True)
class StopStage:
    """Stop a running stage; it then counts as `outcome`."""

    run: str
    stage: str
    outcome: StageOutcome


@dataclass(frozen=True, slots=True)
class LookAtRunning:
    """See whether an input of a running stage was edited."""

    run: str


@dataclass(frozen=True, slots=True)
class CloseRun:
    """Record a run whose stages have all ended, judge its gates, export what passes."""

    flight: Flight


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Promote or roll back."""

    id: str
    command: Promote | Rollback


@dataclass(frozen=True, slots=True)
class SetWatching:
    """Start or stop to watch the tree."""

    watching: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Send an event to whoever follows."""

    event: Event


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do: end the loop."""


Effect = (
    MakePlan
    | OpenRun
    | StartStage
    | StopStage
    | LookAtRunning
    | CloseRun
    | CarryOut
    | SetWatching
    | Tell
    | Finish
)
