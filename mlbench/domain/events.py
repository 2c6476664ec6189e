"""Everything that can happen, one frozen value each; the faces show nothing else.

On disk and in `--json` an event is one JSON object whose `event` names its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, get_args

from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.plan import Plan, Reason
from mlbench.domain.records import dataclass
from mlbench.domain.release import GateResult, Parity
from mlbench.domain.runs import TestCounts


@dataclass(frozen=True, slots=True)
class LoopStarted:
    """Sent once when a process takes this folder's loop.

    `resumed` are the ids of the commands whose runs go on from the holder before.
    """

    event: ClassVar[str] = "loop_started"
    at: str
    pid: int
    project: str
    resumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoopStopped:
    """Sent last, when the holder lets the loop go."""

    event: ClassVar[str] = "loop_stopped"
    at: str


@dataclass(frozen=True, slots=True)
class WatchChanged:
    """Sent when watching begins, pauses, or has to fall back to another way."""

    event: ClassVar[str] = "watch_changed"
    at: str
    watching: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlanMade:
    """Sent whenever the tree was looked at: how every stage stands now."""

    event: ClassVar[str] = "plan_made"
    at: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Sent when a run begins, before its first stage; `stages` are those it considers.

    `requests` are the ids of the commands that asked for it. Sent again by the next holder of the
    loop for a run that goes on; `since` is then when it began. `params` are the parameters that
    were set for it alone: then it runs in a snapshot, and its stages are not the project's.
    """

    event: ClassVar[str] = "run_started"
    at: str
    run: str
    name: str
    origin: str
    stages: tuple[str, ...]
    requests: tuple[str, ...] = ()
    since: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageStarted:
    """Sent when a stage's command is started, never for one that is unchanged.

    Sent again by the next holder of the loop for one that goes on; `since` is then when it began.
    """

    event: ClassVar[str] = "stage_started"
    stage: str
    at: str
    run: str
    reasons: tuple[Reason, ...] = ()
    since: str = ""


@dataclass(frozen=True, slots=True)
class StageFinished:
    """Sent once for every planned stage; `message` says why it failed, in one sentence.

    `advice` says what it read or wrote undeclared, a sentence each with the line to add.
    """

    event: ClassVar[str] = "stage_finished"
    stage: str
    at: str
    run: str
    outcome: StageOutcome
    seconds: float
    reasons: tuple[Reason, ...] = ()
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: TestCounts | None = None
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportStarted:
    """Sent when a passing run's metric gates hold and its model goes to the exporter."""

    event: ClassVar[str] = "export_started"
    at: str
    run: str
    model: str


@dataclass(frozen=True, slots=True)
class CandidateKept:
    """Sent when a model is kept as a candidate, with its parity if it was exported to ONNX."""

    event: ClassVar[str] = "candidate_kept"
    at: str
    run: str
    model: str
    digest: str
    parity: Parity | None


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Sent last for a run; where no stage had to run, `run` names the run whose results stand.

    `flight` is in any case the id under which its stages were told.
    """

    event: ClassVar[str] = "run_finished"
    at: str
    run: str | None
    name: str
    outcome: RunOutcome
    seconds: float
    stages: Mapping[str, StageOutcome]
    metrics: Mapping[str, float]
    gates: tuple[GateResult, ...]
    recorded: bool = False
    requests: tuple[str, ...] = ()
    flight: str = ""


@dataclass(frozen=True, slots=True)
class Promoted:
    """Sent when an environment answers from another version; `action` is promote or rollback."""

    event: ClassVar[str] = "promoted"
    at: str
    action: str
    environment: str
    model: str
    version: int
    run: str
    address: str


@dataclass(frozen=True, slots=True)
class TrafficChanged:
    """Sent when what shares an environment's requests with its live version changes.

    `action` is the ledger's: traffic, canary, canary_ended, shadow or shadow_ended; `version` that
    of the trial, or the live one where `weights` are set, which are shares of 1 by version.
    """

    event: ClassVar[str] = "traffic_changed"
    at: str
    action: str
    environment: str
    model: str
    version: int
    run: str
    address: str
    weights: Mapping[str, float] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Sent for whatever a user should know and act on; `level` is info, warn or error."""

    event: ClassVar[str] = "notice"
    at: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class CommandDone:
    """Sent when a command has been carried out or refused, to whoever sent it."""

    event: ClassVar[str] = "command_done"
    at: str
    command: str
    exit_status: int
    message: str = ""


Event = (
    LoopStarted
    | LoopStopped
    | WatchChanged
    | PlanMade
    | RunStarted
    | StageStarted
    | StageFinished
    | ExportStarted
    | CandidateKept
    | RunFinished
    | Promoted
    | TrafficChanged
    | Notice
    | CommandDone
)
EVENTS: dict[str, type[Event]] = {kind.event: kind for kind in get_args(Event)}
