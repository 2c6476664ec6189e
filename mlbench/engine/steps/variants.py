"""Runs with parameters of their own: they take off once their snapshot stands."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.commands import RunStages
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.state import LoopState, NewRun
from mlbench.engine.steps.answers import Step, reply
from mlbench.engine.steps.flights import go_on, take_off
from mlbench.engine.steps.requests import asked_flight


def variant_made(happened: got.VariantMade, state: LoopState, new_run: NewRun) -> Step:
    """Begin the run for which a variant was made, unless it was called off meanwhile."""
    request = happened.request
    if request is None or request not in state.copying:
        return state, [do.DropVariant(happened.variant)]
    assert isinstance(request.command, RunStages)
    state = _copied(state, request)
    state = replace(state, jobs=happened.project.jobs, machine=happened.machine)
    flight = asked_flight(happened, request, new_run)
    flight = replace(flight, variant=happened.variant, params=request.command.params)
    return take_off(state, flight, happened.plan, [])


def variant_failed(happened: got.VariantFailed, state: LoopState) -> Step:
    """Say to who asked why there is none, unless that was called off meanwhile."""
    request = happened.request
    if request not in state.copying:
        return state, []
    refusal = reply(request.id, happened.exit_status, happened.message)
    return go_on(_copied(state, request), [refusal])


def _copied(state: LoopState, request: got.Asked) -> LoopState:
    return replace(state, copying=tuple(one for one in state.copying if one != request))
