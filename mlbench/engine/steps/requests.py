"""What a face asks for, and what a plan answers: runs that begin, runs that are stopped."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.commands import RestoreRun, RunStages, SetWatch, StopStages
from mlbench.domain.errors import nearest
from mlbench.domain.events import Notice, PlanMade, WatchChanged
from mlbench.domain.graph import with_ancestors
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.state import WATCH_ORIGIN, Flight, LoopState, NewRun
from mlbench.engine.steps.answers import (
    UNSTAMPED,
    Effects,
    Step,
    called_off,
    plan_next,
    reply,
    tell,
    with_flight,
)
from mlbench.engine.steps.blaming import note_plan
from mlbench.engine.steps.edits import apply_verdict, judge_save, worth_starting
from mlbench.engine.steps.flights import go_on, stopped, take_off
from mlbench.engine.steps.holders import not_resumed, resume
from mlbench.engine.steps.releasing import begin_releases, release
from mlbench.engine.steps.restoring import leave_restored_alone, restore


def asked(happened: got.Asked, state: LoopState) -> Step:
    """Take in a command."""
    command = happened.command
    if state.quitting:
        # Who asked is told by the end of the loop, and asks its next holder.
        return state, []
    if isinstance(command, RunStages) and command.params:
        return replace(state, copying=(*state.copying, happened)), [do.MakeVariant(happened)]
    if isinstance(command, RunStages):
        return plan_next(replace(state, waiting=(*state.waiting, happened)), [])
    if isinstance(command, StopStages):
        if state.kept or state.unfinished:
            # What the holder before left can't be stopped before a look has told what it is.
            return plan_next(replace(state, stops=(*state.stops, happened), tree_moved=True), [])
        return _stop(state, happened.id, command)
    if isinstance(command, SetWatch):
        return _set_watch(state, happened.id, command)
    if isinstance(command, RestoreRun):
        return restore(happened.id, command, state)
    return release(happened, state)


def planned(happened: got.Planned, state: LoopState, new_run: NewRun) -> Step:
    """The tree was looked at: go on with what was left, begin what is asked for or worth it."""
    told: Effects = []
    if happened.plan != state.plan or state.last_problem:
        told = [tell(PlanMade(UNSTAMPED, happened.plan))]
    is_off = state.called_off
    state = replace(
        state,
        planning=False,
        asking=None,
        called_off=False,
        plan=happened.plan,
        jobs=happened.project.jobs,
        machine=happened.machine,
        last_problem="",
    )
    if state.quitting:
        # Nobody is answered any more: who asked turns to the next holder.
        return go_on(state, told)
    state, releases = begin_releases(state)
    told += releases
    state = leave_restored_alone(happened.plan, state)
    state, resumed = resume(note_plan(happened.plan, state), happened)
    told += resumed
    for stop in state.stops:
        assert isinstance(stop.command, StopStages)
        state, effects = _stop(replace(state, stops=()), stop.id, stop.command)
        told += effects
    request = happened.request
    if is_off:
        return go_on(state, told if request is None else [*told, called_off(request)])
    if request is not None:
        return _begin_asked(state, happened, request, new_run, told)
    return _begin_for_watch(state, happened, new_run, told)


def plan_failed(happened: got.PlanFailed, state: LoopState) -> Step:
    """Say what is wrong with the project: to who asked, else once to all."""
    told: Effects = []
    if happened.request is not None:
        told.append(reply(happened.request.id, happened.exit_status, happened.message))
    elif happened.message != state.last_problem:
        told.append(tell(Notice(UNSTAMPED, "error", happened.message)))
    problem = happened.message
    state = replace(state, planning=False, asking=None, called_off=False, last_problem=problem)
    state, releases = begin_releases(state, happened)
    state, effects = not_resumed(state, happened)
    return plan_next(state, told + releases + effects)


def _begin_asked(
    state: LoopState, planned: got.Planned, request: got.Asked, new_run: NewRun, told: Effects
) -> Step:
    command = request.command
    assert isinstance(command, RunStages)
    names = [status.name for status in planned.plan.stages]
    unknown = [name for name in command.stages if name not in planned.plan.needs]
    if unknown:
        message = f'there is no stage "{unknown[0]}"{nearest(unknown[0], names)}'
        return go_on(state, [*told, reply(request.id, 2, message)])
    if not names:
        return go_on(state, [*told, reply(request.id, 0, "this project has no stages yet")])
    return take_off(state, asked_flight(planned, request, new_run), planned.plan, told)


def asked_flight(
    planned: got.Planned | got.VariantMade, request: got.Asked, new_run: NewRun
) -> Flight:
    """The run that a request asks for."""
    command = request.command
    assert isinstance(command, RunStages)
    needs = {name: frozenset(before) for name, before in planned.plan.needs.items()}
    wanted = with_ancestors(command.stages or needs, needs)
    flight = _flight(planned, wanted, new_run)
    return replace(
        flight,
        origin=command.origin,
        jobs=command.jobs or flight.jobs,
        forced=frozenset(command.stages or needs) if command.force else frozenset(),
        requests=(request.id,),
        is_foreign=request.is_foreign,
    )


def _begin_for_watch(
    state: LoopState, planned: got.Planned, new_run: NewRun, told: Effects
) -> Step:
    if not state.watching:
        return go_on(state, told)
    wanted = worth_starting(planned.plan, state)
    verdict = judge_save(planned, state, wanted)
    state, effects = apply_verdict(state, verdict)
    if not verdict.to_start:
        return go_on(state, told + effects)
    return take_off(state, _flight(planned, wanted, new_run), planned.plan, told + effects)


def _flight(
    planned: got.Planned | got.VariantMade, wanted: frozenset[str], new_run: NewRun
) -> Flight:
    """A run of these stages as the plan has them."""
    order = tuple(status.name for status in planned.plan.stages if status.name in wanted)
    reads = {name: frozenset(planned.plan.needs[name]) for name in order}
    return Flight(
        run=new_run.id,
        name=new_run.name,
        origin=WATCH_ORIGIN,
        started=new_run.started,
        order=order,
        reads=reads,
        needs={name: before & wanted for name, before in reads.items()},
        stages={stage.name: stage for stage in planned.project.stages if stage.name in wanted},
        jobs=planned.project.jobs,
    )


def _stop(state: LoopState, command_id: str, command: StopStages) -> Step:
    """Stop stages, a run, or everything; what was to be planned for it is called off."""
    flights = [flight for flight in state.flights if _is_meant(command, flight)]
    if command.stages and flights:
        known = [name for flight in flights for name in flight.order]
        unknown = [name for name in command.stages if name not in known]
        if unknown:
            hint = nearest(unknown[0], known)
            message = f'"{unknown[0]}" is not part of this run{hint}'
            return state, [reply(command_id, 2, message)]
    state, told, is_called_off = _call_off(state, command)
    if not flights:
        answer = "calling the run off" if is_called_off else "nothing is running"
        return state, [*told, reply(command_id, 0, answer)]
    for flight in flights:
        left, effects = stopped(flight, command.stages or flight.order)
        state = with_flight(state, left)
        told = told + effects
    named = command.stages or sorted(name for flight in flights for name in flight.running)
    names = ", ".join(named or [flight.name for flight in flights])
    state, effects = go_on(state, told)
    return state, [*effects, reply(command_id, 0, f"stopping {names}")]


def _call_off(state: LoopState, command: StopStages) -> tuple[LoopState, Effects, bool]:
    """The state without the requests that a stop is meant for; they are answered."""
    asking = state.asking
    is_meant = asking is not None and command.run in (None, asking.id)
    # A stop of single stages says nothing of runs that have not begun, unless nothing else runs.
    if command.stages and state.flights:
        return state, [], False
    pending = (*state.waiting, *state.copying)
    off = [one for one in pending if not command.stages and command.run in (None, one.id)]
    waiting = tuple(one for one in state.waiting if one not in off)
    copying = tuple(one for one in state.copying if one not in off)
    told: Effects = [called_off(one) for one in off]
    is_for_watch = state.planning and asking is None and command.run is None and state.watching
    calls_off = is_meant or is_for_watch
    is_off = state.called_off or calls_off
    state = replace(state, waiting=waiting, copying=copying, called_off=is_off)
    return state, told, calls_off or bool(off)


def _is_meant(command: StopStages, flight: Flight) -> bool:
    if command.run is not None and command.run not in (flight.run, *flight.requests):
        return False
    return not command.stages or not set(command.stages).isdisjoint(flight.order)


def _set_watch(state: LoopState, command_id: str, command: SetWatch) -> Step:
    changed = WatchChanged(UNSTAMPED, command.watching)
    told: Effects = [do.SetWatching(command.watching), tell(changed)]
    state = replace(state, watching=command.watching, tree_moved=command.watching)
    state, effects = plan_next(state, told)
    return state, [*effects, reply(command_id, 0, "")]
