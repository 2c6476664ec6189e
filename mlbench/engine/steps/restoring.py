"""Bringing a run back: when it may begin, and what the watch makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mlbench.domain.commands import RestoreRun
from mlbench.domain.events import CommandDone, Event
from mlbench.domain.plan import Plan
from mlbench.engine import effects as do
from mlbench.engine.state import LoopState
from mlbench.engine.steps.answers import Step, reply


def restore(command_id: str, command: RestoreRun, state: LoopState) -> Step:
    """Begin it, unless a stage runs that reads or writes what it would change."""
    stages = frozenset(command.stages)
    running = sorted(_in_the_way(stages, state))
    if running:
        named = ", ".join(running)
        message = (
            f"{named} {'is' if len(running) == 1 else 'are'} running, with outs that would be "
            f"brought back; wait for the end, or `mlbench stop {' '.join(running)}` first"
        )
        return state, [reply(command_id, 1, message)]
    state = replace(
        state,
        carrying=state.carrying + 1,
        restoring={**state.restoring, command_id: stages},
        # A look that has begun may have seen the outs from before.
        unsettled=state.unsettled | stages if state.planning else state.unsettled,
    )
    return state, [do.CarryOut(command_id, command)]


def note_restored(events: Iterable[Event], state: LoopState) -> LoopState:
    """Have the tree looked at where something was brought back, or was to be."""
    done = {event.command: event.exit_status for event in events if isinstance(event, CommandDone)}
    ended = done.keys() & state.restoring.keys()
    if not ended:
        return state
    restoring = {key: stages for key, stages in state.restoring.items() if key not in done}
    restored = state.restored or any(done[key] == 0 for key in ended)
    return replace(state, restoring=restoring, restored=restored, tree_moved=True)


def leave_restored_alone(plan: Plan, state: LoopState) -> LoopState:
    """Keep the watch from building anew what was just brought back, until the next edit.

    Its code may be another by now, and who brought its outs back wants to see these.
    """
    keys = {one.name: one.key for one in plan.stages} if plan.stale else {}
    # With a look still due this one may have been begun before.
    if state.restored and not state.tree_moved:
        return replace(state, restored=False, left_alone=keys)
    return state if keys == state.left_alone else replace(state, left_alone={})


def _in_the_way(stages: frozenset[str], state: LoopState) -> set[str]:
    """The running stages that read or write the outs of these.

    Of what the holder before left nothing but the name is known before there is a plan.
    """
    found = {one.stage for one in state.unfinished}
    for flight in state.in_tree:
        for name, seat in flight.running.items():
            # In a snapshot of its own: it reads nothing here once it has begun.
            is_apart = flight.stages[name].isolate and seat.began != ""
            if name in stages or (not is_apart and not stages.isdisjoint(flight.reads[name])):
                found.add(name)
    return found
