"""What a save means: which stages it makes pointless, and what has to start anew."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.graph import overlaps, with_ancestors
from mlbench.domain.outcomes import ReasonKind, StageOutcome, StageState
from mlbench.domain.plan import Plan
from mlbench.domain.records import dataclass
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.state import Flight, LoopState
from mlbench.engine.steps.answers import Effects, Step, plan_next, with_flight
from mlbench.engine.steps.blaming import note_change
from mlbench.engine.steps.flights import ended_at_once

RESTART_WITHIN_SECONDS = 60.0
# These follow from other stages, or say nothing of an edit.
_NO_CAUSE = frozenset({ReasonKind.UPSTREAM, ReasonKind.ALWAYS})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a save means for what is in flight.

    `stops` are the stages (run, name) to stop, `superseded` the runs whose waiting stages belong
    to a new one, `to_start` the stages because of which a new run has to begin.
    """

    stops: tuple[tuple[str, str], ...]
    superseded: frozenset[str]
    to_start: frozenset[str]


def tree_changed(happened: got.TreeChanged, state: LoopState, now: float) -> Step:
    """Look at the tree; what a running stage writes into its own outs is no news."""
    paths = happened.paths
    state = note_change(paths, state, now)
    own = [
        out
        for flight in state.in_tree
        for name in flight.running
        for out in flight.stages[name].out_paths
    ]
    if paths and all(any(overlaps(out, path) for out in own) for path in paths):
        return state, []
    return plan_next(replace(state, tree_moved=True), [])


def worth_starting(plan: Plan, state: LoopState) -> frozenset[str]:
    """The stages of the run that a save should start; none where nothing would come of it.

    A run is one state of all the stages. Left out is only what failed or was stopped with the
    same fingerprint, what overtakes itself, and what waits for that; and everything where it was
    brought back as it is. A fingerprint below a stage that the edit made stale is still that of
    the outs before, so it says nothing.
    """
    if state.left_alone:
        return frozenset()
    edited = causes(plan)
    hopeless: set[str] = set()
    renewed: set[str] = set()
    for status in plan.stages:
        name, needs = status.name, plan.needs[status.name]
        is_below = any(up in renewed for up in needs)
        failed = name in state.given_up and state.given_up[name] == status.key and not is_below
        after_hopeless = any(up in hopeless for up in needs)
        if status.state is not StageState.FRESH and (
            failed or name in state.blamed or after_hopeless
        ):
            hopeless.add(name)
        elif is_below or name in edited:
            renewed.add(name)
    wanted = frozenset(status.name for status in plan.stages) - hopeless
    return wanted if edited & wanted else frozenset()


def causes(plan: Plan) -> frozenset[str]:
    """The stages that are stale by themselves, not only through others or on principle."""
    return frozenset(
        status.name
        for status in plan.stale
        if any(reason.kind not in _NO_CAUSE for reason in status.reasons)
    )


def judge_save(happened: got.Planned, state: LoopState, wanted: frozenset[str]) -> Verdict:
    """What a save means for what is in flight; `wanted` are the stages worth starting."""
    moving = state.unsettled | state.running
    stale = (causes(happened.plan) & wanted) - moving
    needs = {name: frozenset(before) for name, before in happened.plan.needs.items()}
    doomed: set[tuple[str, str]] = set()
    stops: list[tuple[str, str]] = []
    for look in happened.looks:
        flight = state.flight(look.run)
        if flight is None or look.stage not in flight.running or look.stage not in needs:
            continue
        pointless = stale & with_ancestors({look.stage}, needs)
        if look.moved is None and not pointless:
            continue
        stop = _is_stopped(flight, look)
        if stop and not flight.running[look.stage].is_stopping:
            stops.append((look.run, look.stage))
        if stop or not flight.stages[look.stage].isolate:
            doomed.add((look.run, look.stage))
    return _verdict(state, wanted, stale, frozenset(doomed), tuple(stops))


def apply_verdict(state: LoopState, verdict: Verdict) -> Step:
    """Stop what is pointless, and end what a new run takes over."""
    told: Effects = []
    for run, name in verdict.stops:
        flight = state.flight(run)
        assert flight is not None
        seat = replace(flight.running[name], is_stopping=True)
        flight = replace(flight, running={**flight.running, name: seat})
        state = with_flight(state, flight)
        told.append(do.StopStage(run, name, StageOutcome.OVERTAKEN))
    for run in sorted(verdict.superseded):
        flight = state.flight(run)
        assert flight is not None
        rest = dict.fromkeys(flight.waiting, StageOutcome.OVERTAKEN)
        flight, ended = ended_at_once(flight, rest)
        state = with_flight(state, flight)
        told += ended
    return state, told


def _is_stopped(flight: Flight, look: got.Look) -> bool:
    policy = flight.stages[look.stage].on_edit
    if policy == "auto":
        return look.seconds < RESTART_WITHIN_SECONDS
    return policy == "restart"


def _verdict(
    state: LoopState,
    wanted: frozenset[str],
    stale: frozenset[str],
    doomed: frozenset[tuple[str, str]],
    stops: tuple[tuple[str, str], ...],
) -> Verdict:
    """A run is superseded where something of it is doomed, or would be built on what is stale."""
    superseded = frozenset(
        flight.run
        for flight in state.in_tree
        if any((flight.run, name) in doomed for name in flight.running)
        or any(map(flight.stands, stale & with_ancestors(flight.waiting, flight.needs)))
    )
    on_their_way: set[str] = set()
    to_start = set(stale)
    for flight in state.in_tree:
        on_their_way |= {name for name in flight.running if (flight.run, name) not in doomed}
        if flight.run in superseded:
            to_start |= set(flight.waiting)
            to_start |= {name for name in flight.running if (flight.run, name) in doomed}
        else:
            on_their_way |= set(flight.waiting)
    return Verdict(stops, superseded, frozenset(to_start & wanted) - on_their_way)
