"""What every decision gives back, and how it tells events and answers commands."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.events import CommandDone, Event
from mlbench.engine import effects as do
from mlbench.engine.inputs import Asked
from mlbench.engine.state import Flight, LoopState

# Decisions know no clock: the loop stamps an event as it sends it.
UNSTAMPED = ""
Effects = list[do.Effect]
Step = tuple[LoopState, Effects]


def tell(event: Event) -> do.Tell:
    """Send an event."""
    return do.Tell(event)


def reply(command_id: str, exit_status: int, message: str) -> do.Tell:
    """Answer a command."""
    return do.Tell(CommandDone(UNSTAMPED, command_id, exit_status, message))


def called_off(request: Asked) -> do.Tell:
    """Answer a request for a run that was stopped before it began."""
    return reply(request.id, 130, "was stopped before it began")


def with_flight(state: LoopState, flight: Flight) -> LoopState:
    """The state with this flight in the place of the one of the same run."""
    flights = tuple(flight if one.run == flight.run else one for one in state.flights)
    return replace(state, flights=flights)


def plan_next(state: LoopState, told: Effects) -> Step:
    """Look at the tree for whatever waits, one look at a time; end when all is done."""
    if state.quitting:
        return _end(state, told)
    if state.planning or not (state.waiting or state.tree_moved):
        return state, told
    request = state.waiting[0] if state.waiting else None
    state = replace(
        state,
        planning=True,
        asking=request,
        unsettled=state.running | state.being_restored,
        waiting=state.waiting[1:],
        releases=(),
        looked_for=state.releases,
        tree_moved=False,
    )
    return state, [*told, do.MakePlan(request)]


def _end(state: LoopState, told: Effects) -> Step:
    """Finish once nothing is under way any more but what is left to run on."""
    is_under_way = state.planning or state.closing or state.carrying
    if is_under_way or any(flight.running for flight in state.flights):
        return state, told
    left: Effects = [do.KeepFlight(flight, is_left=True) for flight in state.flights]
    return state, [*told, *left, do.Finish()]
