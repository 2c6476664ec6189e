"""How the loop stands, folded from its events: pure, and all that screen 1 draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto

from mlbench.domain.events import (
    CandidateKept,
    Event,
    ExportStarted,
    LoopStarted,
    LoopStopped,
    Notice,
    PlanMade,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    WatchChanged,
)
from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.plan import Plan, Reason, StageStatus
from mlbench.domain.runs import TestCounts


class Phase(Enum):
    """Where a stage is in the run in flight; IDLE where it has no part in one."""

    IDLE = auto()
    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()


_WROTE_A_LOG = (
    StageOutcome.RAN,
    StageOutcome.FAILED,
    StageOutcome.CANCELLED,
    StageOutcome.OVERTAKEN,
)


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage as it is shown.

    `reasons` say why it is stale now, `because` why it ran or runs; `run` names the run whose
    folder holds its newest log; `started` is in seconds since the epoch.
    """

    name: str
    needs: tuple[str, ...] = ()
    state: StageState | None = None
    reasons: tuple[Reason, ...] = ()
    usual_seconds: float | None = None
    phase: Phase = Phase.IDLE
    outcome: StageOutcome | None = None
    because: tuple[Reason, ...] = ()
    started: float | None = None
    seconds: float = 0.0
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tests: TestCounts | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class FlightView:
    """The run on its way."""

    run: str
    name: str
    origin: str
    started: float
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that the events told so far.

    `problem` is what keeps the project from being planned; `run_problem` what went wrong after
    the last run's stages had ended, as an export that failed.
    """

    stages: tuple[StageView, ...] = ()
    is_planned: bool = False
    watching: bool | None = None
    watch_detail: str = ""
    flight: FlightView | None = None
    exporting: str | None = None
    last: RunFinished | None = None
    problem: str = ""
    run_problem: str = ""

    def stage(self, name: str | None) -> StageView | None:
        """The stage of this name, None where there is none."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def running(self) -> tuple[StageView, ...]:
        """The stages that run now, the longest running first."""
        going = [stage for stage in self.stages if stage.phase is Phase.RUNNING]
        return tuple(sorted(going, key=lambda stage: stage.started or 0.0))

    @property
    def is_fresh(self) -> bool:
        """Whether every stage's outputs are now those of its inputs."""
        return self.is_planned and all(stage.state is StageState.FRESH for stage in self.stages)

    @property
    def is_busy(self) -> bool:
        """Whether a run has stages that have not ended."""
        return self.flight is not None and any(
            stage.phase in (Phase.WAITING, Phase.RUNNING) for stage in self.stages
        )


def update(board: Board, event: Event) -> Board:
    """The board after one more event."""
    match event:
        case LoopStarted() | LoopStopped():
            # Whatever the holder before had in flight ended with it.
            return replace(_landed(board), watching=False, watch_detail="", problem="")
        case WatchChanged(_, watching, detail):
            return replace(board, watching=watching, watch_detail=detail)
        case PlanMade(_, plan):
            return replace(board, stages=_planned(board, plan), is_planned=True, problem="")
        case RunStarted():
            return _take_off(board, event)
        case StageStarted():
            began = {
                "phase": Phase.RUNNING,
                "started": seconds_of(event.at),
                "because": event.reasons,
                "run": event.run,
                "outcome": None,
            }
            return replace(board, stages=_with(board.stages, event.stage, **began))
        case StageFinished():
            return replace(board, stages=_with(board.stages, event.stage, **_ended(board, event)))
        case ExportStarted() | CandidateKept():
            started = isinstance(event, ExportStarted)
            return replace(board, exporting=event.model if started else None)
        case RunFinished():
            return replace(_landed(board), last=event)
        case Notice(_, "error", message):
            if board.flight is not None and not board.is_busy:
                return replace(board, run_problem=message, exporting=None)
            return replace(board, problem=message)
        case _:
            return board


def update_all(board: Board, events: Iterable[Event]) -> Board:
    """The board after several more events."""
    for event in events:
        board = update(board, event)
    return board


def seconds_of(at: str) -> float:
    """Seconds since the epoch of an event's time; 0 where it is not stamped."""
    return datetime.fromisoformat(at).timestamp() if at else 0.0


def followed(board: Board, now_at: str | None) -> str | None:
    """Which stage a cursor that follows the run should stand on: what runs, else what failed."""
    running = [stage.name for stage in board.running]
    if running:
        return now_at if now_at in running else running[0]
    failed = [stage.name for stage in board.stages if stage.outcome is StageOutcome.FAILED]
    if failed:
        return now_at if now_at in failed else failed[0]
    return now_at


def _with(stages: tuple[StageView, ...], name: str, **fields: object) -> tuple[StageView, ...]:
    if all(stage.name != name for stage in stages):
        stages = (*stages, StageView(name))
    return tuple(
        replace(stage, **fields) if stage.name == name else stage  # type: ignore[arg-type]
        for stage in stages
    )


def _landed(board: Board) -> Board:
    """Nothing is in flight any more."""
    stages = tuple(
        replace(stage, phase=Phase.IDLE) if stage.phase in (Phase.WAITING, Phase.RUNNING) else stage
        for stage in board.stages
    )
    return replace(board, stages=stages, flight=None, exporting=None)


def _planned(board: Board, plan: Plan) -> tuple[StageView, ...]:
    return tuple(
        _stands(board.stage(status.name) or StageView(status.name), status, plan)
        for status in plan.stages
    )


def _stands(stage: StageView, status: StageStatus, plan: Plan) -> StageView:
    is_stale = status.state is not StageState.FRESH
    stood = stage.outcome is not None and stage.outcome.stands
    # A result that an edit made stale is no news any more, nor is a failure once it is mended.
    forget = is_stale == stood and stage.phase in (Phase.IDLE, Phase.ENDED)
    if forget:
        stage = StageView(stage.name)
    return replace(
        stage,
        needs=plan.needs.get(status.name, ()),
        state=status.state,
        reasons=status.reasons,
        usual_seconds=status.usual_seconds,
    )


def _take_off(board: Board, event: RunStarted) -> Board:
    stages = board.stages
    for name in event.stages:
        stages = _with(
            stages, name, phase=Phase.WAITING, outcome=None, because=(), message="", seconds=0.0
        )
    flight = FlightView(event.run, event.name, event.origin, seconds_of(event.at), event.stages)
    return replace(board, stages=stages, flight=flight, problem="", run_problem="")


def _ended(board: Board, event: StageFinished) -> dict[str, object]:
    stage = board.stage(event.stage) or StageView(event.stage)
    return {
        "phase": Phase.ENDED,
        "outcome": event.outcome,
        "because": event.reasons or stage.because,
        "seconds": event.seconds,
        "message": event.message,
        "metrics": event.metrics,
        "tests": event.tests,
        "run": event.run if event.outcome in _WROTE_A_LOG else None,
    }
