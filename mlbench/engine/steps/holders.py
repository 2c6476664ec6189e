"""From one holder of the loop to the next: what runs is left running, and gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlbench.domain.clock import utc
from mlbench.domain.commands import BY_HAND
from mlbench.domain.events import Event, RunStarted, StageFinished, StageStarted
from mlbench.domain.names import friendly_name, moment_of
from mlbench.domain.outcomes import StageOutcome
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.state import Flight, LoopState, Seat
from mlbench.engine.steps.answers import (
    UNSTAMPED,
    Effects,
    Step,
    reply,
    tell,
    with_flight,
)
from mlbench.engine.steps.flights import finished, go_on, stopped


def resumed(happened: got.Resumed, state: LoopState) -> Step:
    """Something was left by the holder before: a plan is needed to go on with it."""
    made = {one.variant: one for one in happened.variants}
    left = tuple(one for one in happened.unfinished if not _is_in(one, happened.kept, made))
    kept = tuple(one for one in happened.kept if one.variant not in made)
    state = replace(state, kept=kept, unfinished=left, tree_moved=True)
    told: Effects = []
    for run in (one for one in happened.kept if one.variant in made):
        adopted = {one.stage for one in happened.unfinished if one.run == run.run}
        variant = made[run.variant]
        state = replace(state, jobs=variant.project.jobs, machine=variant.machine)
        state, effects = _go_on_with(state, run, adopted, variant)
        told += effects
    return go_on(state, told)


def resume(state: LoopState, planned: got.Planned) -> Step:
    """Go on with what the holder before left, now that there is a plan."""
    told: Effects = []
    known = {stage.name for stage in planned.project.stages}
    for lost in (one for one in state.unfinished if one.stage not in known):
        told.append(do.AbandonStage(lost.run, lost.stage))
    adopted = [one for one in state.unfinished if one.stage in known]
    kept = {one.run: one for one in state.kept}
    for one in adopted:
        if one.run not in kept:
            kept[one.run] = _unknown(one, planned)
    for run in kept.values():
        stages = {one.stage for one in adopted if one.run == run.run}
        state, effects = _go_on_with(state, run, stages, planned)
        told += effects
    return replace(state, kept=(), unfinished=()), told


def not_resumed(state: LoopState, failed: got.PlanFailed) -> Step:
    """The project can't be planned: what was left goes on by itself, unless it is to be stopped.

    Whoever waits for a run of the holder before can't be answered by that now.
    """
    told: Effects = [
        reply(request, failed.exit_status, failed.message)
        for kept in state.kept
        for request in kept.requests
    ]
    if not state.stops:
        kept = tuple(replace(kept, requests=()) for kept in state.kept)
        return replace(state, kept=kept), told
    told += [do.AbandonStage(one.run, one.stage) for one in state.unfinished]
    told += [do.ForgetFlight(kept.run) for kept in state.kept]
    for flight in state.flights:
        left, effects = stopped(flight, flight.order)
        state = with_flight(state, left)
        told += effects
    told += [reply(stop.id, 0, "stopping what was left running") for stop in state.stops]
    return replace(state, kept=(), unfinished=(), stops=()), told


def quit_loop(happened: got.Quit, state: LoopState) -> Step:
    """Let the loop go: stop what is its own, or leave all; another terminal's is always left."""
    # Whoever waits for what was not begun is not answered, and asks the next holder.
    state = replace(
        state,
        quitting=True,
        watching=False,
        tree_moved=False,
        waiting=(),
        copying=(),
        releases=(),
        looked_for=(),
    )
    told: Effects = [do.SetWatching(False)]
    for flight in state.flights:
        if happened.leave_running or flight.is_foreign:
            # What was told to end already is waited for.
            going = [name for name, seat in flight.running.items() if not seat.is_stopping]
            told += [do.LeaveStage(flight.run, name) for name in sorted(going)]
        else:
            landing, effects = stopped(flight, flight.order)
            state = with_flight(state, landing)
            told += effects
    return go_on(state, told)


def _is_in(
    one: got.Unfinished, kept: tuple[got.Kept, ...], made: Mapping[str, got.VariantMade]
) -> bool:
    """Whether a stage is one of a run in a variant."""
    return any(run.run == one.run and run.variant in made for run in kept)


def _go_on_with(
    state: LoopState, run: got.Kept, adopted: set[str], planned: got.Planned | got.VariantMade
) -> Step:
    """Take a run up where the holder before left it."""
    flight = _taken_up(run, adopted, planned)
    told: Effects = [tell(event) for event in told_again(flight)]
    told += [do.AdoptStage(flight.run, name) for name in flight.running]
    return replace(state, flights=(*state.flights, flight)), told


def _unknown(one: got.Unfinished, planned: got.Planned) -> got.Kept:
    """A run of which nothing but a running stage is left."""
    return got.Kept(
        one.run,
        friendly_name(one.run),
        BY_HAND,
        moment_of(one.run),
        (one.stage,),
        planned.project.jobs,
    )


def _taken_up(kept: got.Kept, adopted: set[str], planned: got.Planned | got.VariantMade) -> Flight:
    """The flight that was written down, over the stages that there are now."""
    wanted = frozenset(kept.order) | adopted
    order = tuple(status.name for status in planned.plan.stages if status.name in wanted)
    outcomes = {name: kept.outcomes[name] for name in order if name in kept.outcomes}
    outcomes = {name: outcome for name, outcome in outcomes.items() if name not in adopted}
    reads = {name: frozenset(planned.plan.needs[name]) for name in order}
    members = frozenset(order)
    return Flight(
        run=kept.run,
        name=kept.name,
        origin=kept.origin,
        started=kept.started,
        order=order,
        reads=reads,
        needs={name: before & members for name, before in reads.items()},
        stages={stage.name: stage for stage in planned.project.stages if stage.name in wanted},
        jobs=kept.jobs,
        running={name: Seat(tuple(kept.seats.get(name, ()))) for name in order if name in adopted},
        outcomes=outcomes,
        endings={name: kept.endings[name] for name in outcomes if name in kept.endings},
        forced=frozenset(kept.forced) & members,
        requests=kept.requests,
        is_foreign=bool(kept.requests),
        is_resumed=True,
        is_open=True,
        variant=kept.variant,
        params=kept.params,
    ).laid_out()


def told_again(flight: Flight) -> list[Event]:
    """For faces that open later: what runs, and what became of the rest so far."""
    began = RunStarted(
        UNSTAMPED,
        flight.run,
        flight.name,
        flight.origin,
        flight.order,
        flight.requests,
        utc(flight.started),
        flight.params,
    )
    ended = [
        finished(flight.endings[name])
        if name in flight.endings
        else StageFinished(name, UNSTAMPED, flight.run, outcome, 0.0)
        for name, outcome in flight.outcomes.items()
    ]
    running = [
        StageStarted(name, UNSTAMPED, flight.run, seat.reasons, seat.began)
        for name, seat in flight.running.items()
        if seat.began
    ]
    return [began, *ended, *running]


def to_keep(flight: Flight, *, was_left: bool) -> got.Kept:
    """What to write down of a flight, so that the next holder can go on with it.

    What stands is not told: the next look finds it again, and what it gave.
    """
    fallen = {
        name: outcome
        for name, outcome in flight.outcomes.items()
        if not outcome.stands and outcome is not StageOutcome.BLOCKED
    }
    return got.Kept(
        flight.run,
        flight.name,
        flight.origin,
        flight.started,
        flight.order,
        flight.jobs,
        tuple(sorted(flight.forced)),
        fallen,
        {name: ending for name, ending in flight.endings.items() if name in fallen},
        {name: seat.gpus for name, seat in flight.running.items() if seat.gpus},
        # Whoever asked from the terminal of this holder is gone with it.
        flight.requests if flight.is_foreign else (),
        was_left,
        flight.variant,
        flight.params,
    )
