"""Runs on their way: taking off, starting stages, taking in what became of them, landing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mlbench.domain.events import RunStarted, StageFinished, StageStarted
from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.plan import Plan
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.scheduling import Start, refusal, startable
from mlbench.engine.state import Flight, LoopState, Seat
from mlbench.engine.steps.answers import UNSTAMPED, Effects, Step, plan_next, tell, with_flight
from mlbench.engine.steps.blaming import note_ending


def take_off(state: LoopState, flight: Flight, plan: Plan, told: Effects) -> Step:
    """Begin a run: what the plan finds fresh is unchanged at once, the rest starts as it may."""
    moving = frozenset() if flight.variant else state.unsettled | state.running
    fresh = _standing(plan, flight, moving)
    flight = flight.laid_out().ended(dict.fromkeys(fresh, StageOutcome.UNCHANGED))
    began = RunStarted(
        UNSTAMPED,
        flight.run,
        flight.name,
        flight.origin,
        flight.order,
        flight.requests,
        params=flight.params,
    )
    told = [*told, tell(began)]
    if fresh:
        statuses = tuple(status for status in plan.stages if status.name in fresh)
        told.append(do.TellUnchanged(flight.run, statuses, flight.variant))
    return go_on(replace(state, flights=(*state.flights, flight)), told)


def go_on(state: LoopState, told: Effects) -> Step:
    """Give up what is hopeless, close what is over, start what may start, plan what waits."""
    for before in state.flights:
        flight, lost = ended_at_once(before, before.hopeless())
        told = told + lost
        if flight.is_over:
            flights = tuple(one for one in state.flights if one.run != flight.run)
            closing = state.closing | {flight.run}
            state = replace(state, flights=flights, closing=closing)
            told = [*told, do.CloseRun(flight)]
        else:
            state = with_flight(state, flight)
    if state.quitting:
        return plan_next(state, told)
    starts, refused = startable(state.flights, state.machine, state.jobs, state.being_restored)
    state, started = _start(state, starts)
    told = told + started
    if not refused:
        return plan_next(state, told)
    for start in refused:
        flight = _of(state, start.run)
        why = refusal(flight.stages[start.stage], state.machine)
        failed = StageOutcome.FAILED
        ending = got.StageDone(start.run, start.stage, failed, 0.0, None, message=why)
        state = with_flight(state, flight.with_ending(ending))
        told = [*told, tell(finished(ending))]
    return go_on(state, told)


def stage_began(happened: got.StageBegan, state: LoopState) -> Step:
    """A stage's command runs now."""
    since = happened.at if happened.is_adopted else ""
    began = StageStarted(happened.stage, UNSTAMPED, happened.run, happened.reasons, since)
    flight = state.flight(happened.run)
    if flight is not None and happened.stage in flight.running:
        seat = flight.running[happened.stage]
        seat = replace(seat, began=happened.at, reasons=happened.reasons)
        flight = replace(flight, running={**flight.running, happened.stage: seat})
        state = with_flight(state, flight)
    return state, [tell(began)]


def stage_done(happened: got.StageDone, state: LoopState, now: float) -> Step:
    """A stage has ended: what waited for it may start."""
    flight = state.flight(happened.run)
    if flight is None or happened.stage not in flight.running:
        return state, []
    outcome = happened.outcome
    flight = flight.with_ending(happened)
    # What stands is found again by a look; what was told of the rest must be on disk before.
    told: Effects = [] if outcome.stands else [do.KeepFlight(flight)]
    told.append(tell(finished(happened)))
    if flight.variant:
        # It says nothing of the project's own stages.
        return go_on(with_flight(state, flight), told)
    given_up = {k: v for k, v in state.given_up.items() if k != happened.stage}
    if outcome in (StageOutcome.FAILED, StageOutcome.CANCELLED):
        given_up[happened.stage] = happened.key
    state = with_flight(replace(state, given_up=given_up), flight)
    state, noticed = note_ending(happened, state, now)
    told += noticed
    if outcome.stands:
        state, shared = _shared(state, flight, happened.stage)
        told += shared
    if outcome is StageOutcome.OVERTAKEN and not _waits(state, happened.stage):
        # Nothing in flight makes it anew: whether the watch should, a look at the tree says.
        state = replace(state, tree_moved=state.tree_moved or state.watching)
    return go_on(state, told)


def stage_left(happened: got.StageLeft, state: LoopState) -> Step:
    """A stage was let go: for the next holder of the loop it still has to come about."""
    flight = state.flight(happened.run)
    if flight is None or happened.stage not in flight.running:
        return state, []
    return go_on(with_flight(state, flight.unseated(happened.stage)), [])


def ended_at_once(flight: Flight, outcomes: Mapping[str, StageOutcome]) -> tuple[Flight, Effects]:
    """The flight with stages ended that never ran."""
    told: Effects = [
        tell(StageFinished(name, UNSTAMPED, flight.run, outcome, 0.0))
        for name, outcome in outcomes.items()
    ]
    return flight.ended(outcomes), told


def stopped(flight: Flight, stages: Iterable[str]) -> tuple[Flight, Effects]:
    """The flight with these stages cancelled: those that run are stopped, the others never run."""
    wanted = set(stages)
    stops: Effects = [
        do.StopStage(flight.run, name, StageOutcome.CANCELLED)
        for name in sorted(wanted & set(flight.running))
    ]
    running = {
        name: replace(seat, is_stopping=seat.is_stopping or name in wanted)
        for name, seat in flight.running.items()
    }
    flight = replace(flight, running=running)
    pending = [name for name in flight.waiting if name in wanted]
    flight, told = ended_at_once(flight, dict.fromkeys(pending, StageOutcome.CANCELLED))
    return flight, stops + told


def _shared(state: LoopState, source: Flight, stage: str) -> Step:
    """What one run has just made stands in the others that wait for it, and needs no second look.

    Else those would have to wait until nobody reads its outs any more. What ran in a snapshot
    stands for the tree as it was then, so that the others have to look.
    """
    told: Effects = []
    if source.stages[stage].isolate:
        return state, told
    for flight in state.in_tree:
        if stage in flight.free and stage not in flight.forced:
            state = with_flight(state, flight.ended({stage: StageOutcome.UNCHANGED}))
            told.append(do.ShareStage(flight.run, stage, source.run))
    return state, told


def _start(state: LoopState, starts: Iterable[Start]) -> Step:
    """Start what may start."""
    told: Effects = []
    for start in starts:
        name = start.stage
        flight = _of(state, start.run).seated(name, Seat(start.gpus))
        if not flight.is_open:
            flight = replace(flight, is_open=True)
            told.append(do.OpenRun(flight.run, flight.variant))
            told.append(do.KeepFlight(flight))
        elif start.gpus:
            told.append(do.KeepFlight(flight))
        state = with_flight(state, flight)
        force = name in flight.forced
        told.append(
            do.StartStage(flight.run, name, force, start.gpus, flight.is_resumed, flight.variant)
        )
        if state.planning and not flight.variant:
            state = replace(state, unsettled=state.unsettled | {name})
    return state, told


def _standing(plan: Plan, flight: Flight, moving: frozenset[str]) -> frozenset[str]:
    """The stages that need no look of their own: fresh in the plan, and all before them too."""
    standing: set[str] = set()
    members = set(flight.order)
    for status in plan.stages:
        name = status.name
        if name in members and name not in moving and name not in flight.forced:
            before = flight.reads[name]
            if status.state is StageState.FRESH and all(up in standing for up in before):
                standing.add(name)
    return frozenset(standing)


def _of(state: LoopState, run: str) -> Flight:
    flight = state.flight(run)
    assert flight is not None
    return flight


def _waits(state: LoopState, stage: str) -> bool:
    return any(stage in flight.waiting for flight in state.in_tree)


def finished(done: got.StageDone) -> StageFinished:
    """What is told of a stage that has ended."""
    return StageFinished(
        done.stage,
        UNSTAMPED,
        done.run,
        done.outcome,
        round(done.seconds, 3),
        done.reasons,
        done.message,
        done.metrics,
        done.tests,
        done.advice,
    )
