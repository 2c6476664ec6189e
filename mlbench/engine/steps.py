"""The loop's decisions, pure: (state, input) → (state, effects)."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.commands import Promote, Rollback, RunStages, SetWatch, StopStages
from mlbench.domain.errors import nearest
from mlbench.domain.events import (
    CommandDone,
    Event,
    Notice,
    PlanMade,
    RunStarted,
    StageFinished,
    StageStarted,
    WatchChanged,
)
from mlbench.domain.graph import with_ancestors
from mlbench.domain.outcomes import StageOutcome
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.state import Flight, LoopState, NewRun, worth_starting

RESTART_WITHIN_SECONDS = 60.0
# Decisions know no clock: the loop stamps an event as it sends it.
UNSTAMPED = ""
Step = tuple[LoopState, list[do.Effect]]


def step(happened: got.Input, state: LoopState, new_run: NewRun) -> Step:
    """What to do next; `new_run` is what a run begun now would be called."""
    match happened:
        case got.Asked():
            return _asked(happened, state)
        case got.TreeChanged():
            return _tree_changed(state)
        case got.Planned():
            return _planned(happened, state, new_run)
        case got.PlanFailed():
            return _plan_failed(happened, state)
        case got.StageBegan():
            return _stage_began(happened, state)
        case got.StageDone():
            return _stage_done(happened, state)
        case got.InputMoved():
            return _input_moved(happened, state)
        case got.RunClosed():
            return _run_closed(happened, state)
        case got.Happened():
            return _happened(happened, state)
        case got.Quit():
            return _quit(state)


def _asked(happened: got.Asked, state: LoopState) -> Step:
    command = happened.command
    if state.quitting:
        # Who asked is told by the end of the loop, and asks its next holder.
        return state, []
    if isinstance(command, RunStages):
        return _plan_next(replace(state, waiting=(*state.waiting, happened)))
    if isinstance(command, StopStages):
        return _stop(state, happened.id, command)
    if isinstance(command, SetWatch):
        return _set_watch(state, happened.id, command)
    return (
        replace(state, carrying=state.carrying + 1),
        [do.CarryOut(happened.id, command)]
        if isinstance(command, (Promote, Rollback))
        else [_reply(happened.id, 2, f"unknown command {command!r}")],
    )


def _tree_changed(state: LoopState) -> Step:
    state = replace(state, tree_moved=True)
    if state.flight is not None:
        return state, [do.LookAtRunning(state.flight.run)]
    return _plan_next(state)


def _planned(happened: got.Planned, state: LoopState, new_run: NewRun) -> Step:
    tell: list[do.Effect] = []
    if happened.plan != state.plan or state.last_problem:
        tell = [_tell(PlanMade(UNSTAMPED, happened.plan))]
    called_off = state.called_off
    state = replace(state, planning=False, called_off=False, plan=happened.plan, last_problem="")
    request = happened.request
    if called_off or state.quitting:
        # At the end of the loop nobody is answered: who asked turns to its next holder.
        if request is not None and not state.quitting:
            tell.append(_called_off(request))
        return _plan_next(state, tell)
    if request is None:
        wanted = worth_starting(happened.plan, state.given_up)
        if not wanted or not state.watching:
            return _plan_next(state, tell)
        return _take_off(state, happened, wanted, None, new_run, tell)
    assert isinstance(request.command, RunStages)
    names = [status.name for status in happened.plan.stages]
    unknown = [name for name in request.command.stages if name not in names]
    if unknown:
        message = f'there is no stage "{unknown[0]}"{nearest(unknown[0], names)}'
        return _plan_next(state, [*tell, _reply(request.id, 2, message)])
    needs = {name: frozenset(before) for name, before in happened.plan.needs.items()}
    wanted = with_ancestors(request.command.stages or names, needs)
    return _take_off(state, happened, wanted, request, new_run, tell)


def _plan_failed(happened: got.PlanFailed, state: LoopState) -> Step:
    told: list[do.Effect] = []
    if happened.request is not None:
        told.append(_reply(happened.request.id, happened.exit_status, happened.message))
    elif happened.message != state.last_problem:
        told.append(_tell(Notice(UNSTAMPED, "error", happened.message)))
    problem = happened.message
    return _plan_next(replace(state, planning=False, called_off=False, last_problem=problem), told)


def _stage_began(happened: got.StageBegan, state: LoopState) -> Step:
    began = StageStarted(happened.stage, UNSTAMPED, happened.run, happened.reasons)
    return state, [_tell(began)]


def _stage_done(happened: got.StageDone, state: LoopState) -> Step:
    flight = state.flight
    if flight is None or flight.run != happened.run:
        return state, []
    given_up = {k: v for k, v in state.given_up.items() if k != happened.stage}
    if happened.outcome in (StageOutcome.FAILED, StageOutcome.CANCELLED):
        given_up[happened.stage] = happened.key
    flight = replace(
        flight,
        running=flight.running - {happened.stage},
        outcomes={**flight.outcomes, happened.stage: happened.outcome},
    )
    done = StageFinished(
        happened.stage,
        UNSTAMPED,
        happened.run,
        happened.outcome,
        round(happened.seconds, 3),
        happened.reasons,
        happened.message,
        happened.metrics,
        happened.tests,
    )
    return _go_on(replace(state, flight=flight, given_up=given_up), [_tell(done)])


def _input_moved(happened: got.InputMoved, state: LoopState) -> Step:
    flight = state.flight
    if flight is None or flight.run != happened.run or happened.stage not in flight.running:
        return state, []
    policy = flight.on_edit.get(happened.stage, "auto")
    too_far = policy == "auto" and happened.running_seconds >= RESTART_WITHIN_SECONDS
    if policy == "finish" or too_far:
        return state, []
    return state, [do.StopStage(flight.run, happened.stage, StageOutcome.OVERTAKEN)]


def _run_closed(happened: got.RunClosed, state: LoopState) -> Step:
    return _plan_next(replace(state, closing=state.closing - {happened.run}))


def _happened(happened: got.Happened, state: LoopState) -> Step:
    carried = sum(isinstance(event, CommandDone) for event in happened.events)
    state = replace(state, carrying=max(0, state.carrying - carried))
    return _plan_next(state, [_tell(event) for event in happened.events])


def _quit(state: LoopState) -> Step:
    state = replace(state, quitting=True, watching=False, tree_moved=False)
    state, stopping = _stop_flight(replace(state, waiting=()), ())
    return _plan_next(state, [do.SetWatching(False), *stopping])


def _plan_next(state: LoopState, told: list[do.Effect] | None = None) -> Step:
    """Look at the tree for whatever waits, once nothing is in flight; end when all is done."""
    told = told or []
    if state.flight is None and not state.planning and not state.quitting:
        if state.waiting:
            request, *rest = state.waiting
            state = replace(state, planning=True, waiting=tuple(rest), tree_moved=False)
            return state, [*told, do.MakePlan(request)]
        if state.tree_moved:
            return replace(state, planning=True, tree_moved=False), [*told, do.MakePlan()]
    if state.quitting and state.is_idle:
        return state, [*told, do.Finish()]
    return state, told


def _take_off(
    state: LoopState,
    planned: got.Planned,
    wanted: frozenset[str],
    request: got.Asked | None,
    new_run: NewRun,
    told: list[do.Effect],
) -> Step:
    command = request.command if request and isinstance(request.command, RunStages) else None
    order = tuple(status.name for status in planned.plan.stages if status.name in wanted)
    if not order:
        done = [_reply(request.id, 0, "this project has no stages yet")] if request else []
        return _plan_next(state, [*told, *done])
    named = command.stages if command and command.stages else order
    flight = Flight(
        run=new_run.id,
        name=new_run.name,
        origin=command.origin if command else "watch",
        started=new_run.started,
        order=order,
        needs={stage: frozenset(planned.plan.needs[stage]) for stage in order},
        jobs=(command.jobs if command else None) or planned.jobs,
        forced=frozenset(named) if command and command.force else frozenset(),
        on_edit=planned.on_edit,
        requests=(request.id,) if request else (),
    )
    began = RunStarted(UNSTAMPED, flight.run, flight.name, flight.origin, order, flight.requests)
    return _go_on(replace(state, flight=flight), [*told, do.OpenRun(flight.run), _tell(began)])


def _go_on(state: LoopState, told: list[do.Effect]) -> Step:
    """Start what is ready, give up what is hopeless, close the run when all have ended."""
    flight = state.flight
    assert flight is not None
    lost = flight.hopeless()
    flight = replace(flight, outcomes={**flight.outcomes, **lost})
    told = told + [
        _tell(StageFinished(name, UNSTAMPED, flight.run, outcome, 0.0))
        for name, outcome in lost.items()
    ]
    if flight.is_over:
        state = replace(state, flight=None, closing=state.closing | {flight.run})
        return _plan_next(state, [*told, do.CloseRun(flight)])
    starting = () if flight.stopping else flight.ready()
    flight = replace(flight, running=flight.running | set(starting))
    starts = [do.StartStage(flight.run, name, name in flight.forced) for name in starting]
    return replace(state, flight=flight), [*told, *starts]


def _stop(state: LoopState, command_id: str, command: StopStages) -> Step:
    flight = state.flight
    cancelled = [] if command.stages else [_called_off(asked) for asked in state.waiting]
    if flight is None:
        if not state.planning:
            return state, [_reply(command_id, 0, "nothing is running")]
        state = replace(state, called_off=True, waiting=state.waiting if command.stages else ())
        return state, [*cancelled, _reply(command_id, 0, "calling the run off")]
    unknown = [name for name in command.stages if name not in flight.order]
    if unknown:
        hint = nearest(unknown[0], flight.order)
        return state, [_reply(command_id, 2, f'"{unknown[0]}" is not part of this run{hint}')]
    state = replace(state, waiting=()) if not command.stages else state
    state, effects = _stop_flight(state, command.stages)
    names = ", ".join(command.stages or sorted(flight.running)) or flight.name
    return state, [*effects, *cancelled, _reply(command_id, 0, f"stopping {names}")]


def _stop_flight(state: LoopState, stages: tuple[str, ...]) -> Step:
    flight = state.flight
    if flight is None:
        return state, []
    stopped = flight.running if not stages else flight.running & set(stages)
    stops: list[do.Effect] = [
        do.StopStage(flight.run, name, StageOutcome.CANCELLED) for name in sorted(stopped)
    ]
    if not stages:
        return _go_on(replace(state, flight=replace(flight, stopping=True)), stops)
    pending = {name: StageOutcome.CANCELLED for name in stages if name not in flight.running}
    outcomes = {**pending, **flight.outcomes}
    told: list[do.Effect] = [
        _tell(StageFinished(name, UNSTAMPED, flight.run, StageOutcome.CANCELLED, 0.0))
        for name in pending
        if name not in flight.outcomes
    ]
    return _go_on(replace(state, flight=replace(flight, outcomes=outcomes)), [*stops, *told])


def _set_watch(state: LoopState, command_id: str, command: SetWatch) -> Step:
    changed = WatchChanged(UNSTAMPED, command.watching)
    told: list[do.Effect] = [do.SetWatching(command.watching), _tell(changed)]
    state = replace(state, watching=command.watching, tree_moved=command.watching)
    state, effects = _plan_next(state, told)
    return state, [*effects, _reply(command_id, 0, "")]


def _called_off(request: got.Asked) -> do.Tell:
    return _reply(request.id, 130, "was stopped before it began")


def _tell(event: Event) -> do.Tell:
    return do.Tell(event)


def _reply(command_id: str, exit_status: int, message: str) -> do.Tell:
    return do.Tell(CommandDone(UNSTAMPED, command_id, exit_status, message))
