"""How the loop stands, folded from its events: pure, and all that screen 1 draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto

from mlbench.domain.events import (
    CandidateKept,
    CommandDone,
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
    folder holds its newest log; `started` is in seconds since the epoch; `advice` is what it
    should declare.
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
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlightView:
    """A run on its way; `ended` are those of its stages that have."""

    run: str
    name: str
    origin: str
    started: float
    stages: tuple[str, ...]
    ended: frozenset[str] = frozenset()

    @property
    def is_busy(self) -> bool:
        """Whether it has stages that have not ended."""
        return not self.ended.issuperset(self.stages)


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that the events told so far.

    `apart` are runs with parameters of their own: their stages are not the project's. `problem` is
    what keeps the project from being planned; `run_problem` what went wrong after the last run's
    stages had ended, as an export that failed.
    """

    stages: tuple[StageView, ...] = ()
    is_planned: bool = False
    watching: bool | None = None
    watch_detail: str = ""
    flights: tuple[FlightView, ...] = ()
    apart: frozenset[str] = frozenset()
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
    def flight(self) -> FlightView | None:
        """The run on its way that began last, those that have stages to run before the others."""
        busy = [flight for flight in self.flights if flight.is_busy]
        going = busy or list(self.flights)
        return going[-1] if going else None

    @property
    def is_busy(self) -> bool:
        """Whether a run has stages that have not ended."""
        return any(flight.is_busy for flight in self.flights)


def update(board: Board, event: Event) -> Board:
    """The board after one more event."""
    return board if _is_apart(board, event) else _updated(board, event)


def _updated(board: Board, event: Event) -> Board:
    match event:
        case LoopStarted() | LoopStopped():
            # Whatever the holder before had in flight ended with it.
            board = replace(board, flights=())
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
                "started": seconds_of(event.since or event.at),
                "because": event.reasons,
                "run": event.run,
                "outcome": None,
            }
            return replace(board, stages=_with(board.stages, event.stage, **began))
        case StageFinished():
            board = _noted(board, event)
            stage = board.stage(event.stage)
            if stage is not None and stage.phase is Phase.RUNNING and stage.run != event.run:
                # Another run makes it now: that one's end is what is waited for.
                return board
            return replace(board, stages=_with(board.stages, event.stage, **_ended(board, event)))
        case ExportStarted() | CandidateKept() | CommandDone():
            return replace(board, exporting=_exporting(board, event))
        case RunFinished():
            over = event.flight or event.run
            flights = tuple(flight for flight in board.flights if flight.run != over)
            return replace(_landed(replace(board, flights=flights)), last=event)
        case Notice(_, "error", message):
            if board.flight is not None and not board.is_busy:
                return replace(board, run_problem=message, exporting=None)
            return replace(board, problem=message)
        case _:
            return board


def _exporting(board: Board, event: ExportStarted | CandidateKept | CommandDone) -> str | None:
    """Which model is being exported: an export by hand has no run whose end would tell."""
    if isinstance(event, ExportStarted):
        return event.model
    is_of_run = isinstance(event, CommandDone) and bool(board.flights)
    return board.exporting if is_of_run else None


def _is_apart(board: Board, event: Event) -> bool:
    """Whether it tells of a run in a snapshot: its stages are not those of the project."""
    run = event.flight if isinstance(event, RunFinished) else getattr(event, "run", None)
    return run in board.apart


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
    """What no run on its way has to do with any more is idle."""
    awaited = {name for flight in board.flights for name in set(flight.stages) - flight.ended}
    stages = tuple(
        replace(stage, phase=Phase.IDLE)
        if stage.phase in (Phase.WAITING, Phase.RUNNING) and stage.name not in awaited
        else stage
        for stage in board.stages
    )
    return replace(board, stages=stages, exporting=None)


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
    if event.params:
        return replace(board, apart=board.apart | {event.run})
    stages = board.stages
    going = {stage.name for stage in board.running}
    for name in event.stages:
        # What another run makes now stays as it is until that has ended.
        if name not in going:
            stages = _with(
                stages,
                name,
                phase=Phase.WAITING,
                outcome=None,
                because=(),
                message="",
                seconds=0.0,
                advice=(),
            )
    began = seconds_of(event.since or event.at)
    flight = FlightView(event.run, event.name, event.origin, began, event.stages)
    others = tuple(one for one in board.flights if one.run != event.run)
    return replace(board, stages=stages, flights=(*others, flight), problem="", run_problem="")


def _noted(board: Board, event: StageFinished) -> Board:
    """The board with a stage ended in its run."""
    flights = tuple(
        replace(flight, ended=flight.ended | {event.stage}) if flight.run == event.run else flight
        for flight in board.flights
    )
    return replace(board, flights=flights)


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
        "advice": event.advice,
    }
