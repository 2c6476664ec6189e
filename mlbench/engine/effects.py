"""What the loop wants done: one frozen value each, carried out by the hands."""

from __future__ import annotations

from mlbench.domain.commands import Release, RestoreRun
from mlbench.domain.events import Event
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import StageStatus
from mlbench.domain.records import dataclass
from mlbench.engine.inputs import Asked
from mlbench.engine.state import Flight


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Read the project's files, look at the tree and at what runs."""

    request: Asked | None = None


@dataclass(frozen=True, slots=True)
class MakeVariant:
    """Make a snapshot of the project with the parameters of a request, and plan there."""

    request: Asked


@dataclass(frozen=True, slots=True)
class DropVariant:
    """Free the slot of a variant in which nothing is to run any more."""

    variant: str


@dataclass(frozen=True, slots=True)
class OpenRun:
    """Note where code and parameters stand as a run begins."""

    run: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class KeepFlight:
    """Write down a run on its way, so that the next holder of the loop can go on with it."""

    flight: Flight
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class ForgetFlight:
    """Nobody goes on with a run that was written down."""

    run: str


@dataclass(frozen=True, slots=True)
class TellUnchanged:
    """Say of stages that the plan found them fresh, with what stands."""

    run: str
    stages: tuple[StageStatus, ...]
    variant: str = ""


@dataclass(frozen=True, slots=True)
class ShareStage:
    """Say of a stage that it stands in a run, for `source`, another one, has just made it so."""

    run: str
    stage: str
    source: str


@dataclass(frozen=True, slots=True)
class StartStage:
    """Make one stage up to date, on these GPUs.

    `is_resumed`: what it gave in this very run already is what this run made of it.
    """

    run: str
    stage: str
    force: bool
    gpus: tuple[str, ...] = ()
    is_resumed: bool = False
    variant: str = ""


@dataclass(frozen=True, slots=True)
class AdoptStage:
    """Go on with a stage that the holder before started."""

    run: str
    stage: str


@dataclass(frozen=True, slots=True)
class AbandonStage:
    """Stop a stage that the holder before started and that no stage of the project is any more."""

    run: str
    stage: str


@dataclass(frozen=True, slots=True)
class StopStage:
    """Stop a running stage; it then counts as `outcome`."""

    run: str
    stage: str
    outcome: StageOutcome


@dataclass(frozen=True, slots=True)
class LeaveStage:
    """Let go of a running stage, which goes on without us."""

    run: str
    stage: str


@dataclass(frozen=True, slots=True)
class CloseRun:
    """Record a run whose stages have all ended, judge its gates, export what passes."""

    flight: Flight


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Promote, roll back, or bring a run back."""

    id: str
    command: Release | RestoreRun


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
    | MakeVariant
    | DropVariant
    | OpenRun
    | KeepFlight
    | ForgetFlight
    | TellUnchanged
    | ShareStage
    | StartStage
    | AdoptStage
    | AbandonStage
    | StopStage
    | LeaveStage
    | CloseRun
    | CarryOut
    | SetWatching
    | Tell
    | Finish
)
