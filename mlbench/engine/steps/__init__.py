"""The loop's decisions, pure: (state, input) → (state, effects)."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.events import CommandDone
from mlbench.engine import inputs as got
from mlbench.engine.state import LoopState, NewRun
from mlbench.engine.steps import edits, flights, holders, requests, variants
from mlbench.engine.steps.answers import Step, plan_next, tell
from mlbench.engine.steps.flights import go_on
from mlbench.engine.steps.restoring import note_restored


def step(happened: got.Input, state: LoopState, new_run: NewRun) -> Step:
    """What to do next; `new_run` is what a run begun now would be called."""
    now = new_run.started
    match happened:
        case got.Asked():
            return requests.asked(happened, state)
        case got.TreeChanged():
            return edits.tree_changed(happened, state, now)
        case got.Planned():
            return requests.planned(happened, state, new_run)
        case got.PlanFailed():
            return requests.plan_failed(happened, state)
        case got.VariantMade():
            return variants.variant_made(happened, state, new_run)
        case got.VariantFailed():
            return variants.variant_failed(happened, state)
        case got.StageBegan():
            return flights.stage_began(happened, state)
        case got.StageDone():
            return flights.stage_done(happened, state, now)
        case got.StageLeft():
            return flights.stage_left(happened, state)
        case got.RunClosed() | got.Happened():
            return _carried_out(happened, state)
        case got.Resumed():
            return holders.resumed(happened, state)
        case got.Quit():
            return holders.quit_loop(happened, state)


def _carried_out(happened: got.RunClosed | got.Happened, state: LoopState) -> Step:
    if isinstance(happened, got.RunClosed):
        return plan_next(replace(state, closing=state.closing - {happened.run}), [])
    carried = sum(isinstance(event, CommandDone) for event in happened.events)
    state = replace(state, carrying=max(0, state.carrying - carried))
    state = note_restored(happened.events, state)
    # What waited for a stage whose outs were brought back may start now.
    return go_on(state, [tell(event) for event in happened.events])
