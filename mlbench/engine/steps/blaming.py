"""A stage that writes its own input overtakes itself: noticed, told and not begun for ever."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.events import Notice
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Plan
from mlbench.engine import inputs as got
from mlbench.engine.state import Blame, LoopState
from mlbench.engine.steps.answers import UNSTAMPED, Effects, Step, tell

# So often in a row, where the trace of its writes proves it; and where nobody saw who wrote.
_TIMES_PROVEN = 2
_TIMES_GUESSED = 3
# A change that is told so long after the stage's end is not its own any more: the watch waits for
# quiet, 1.6 s at most.
_OWN_SECONDS = 2.5


def note_ending(done: got.StageDone, state: LoopState, now: float) -> Step:
    """Count what overtakes a stage again and again; whatever else it does clears it."""
    stage = done.stage
    if done.outcome is not StageOutcome.OVERTAKEN:
        return _cleared(state, stage) if done.outcome.stands else state, []
    if done.moved is None or done.moved_by_itself is False:
        return _cleared(state, stage), []
    before = state.blames.get(stage)
    times = before.times + 1 if before is not None and before.path == done.moved else 1
    blame = Blame(done.moved, times, now, is_certain=done.moved_by_itself is True)
    state = replace(state, blames={**state.blames, stage: blame})
    if times < (_TIMES_PROVEN if blame.is_certain else _TIMES_GUESSED):
        return state, []
    if stage in state.blamed:
        return state, []
    told: Effects = [tell(Notice(UNSTAMPED, "error", _complaint(stage, blame)))]
    return replace(state, blamed=state.blamed | {stage}), told


def note_change(paths: tuple[str, ...], state: LoopState, now: float) -> LoopState:
    """Let go of a guess that was wrong: the file changes while its stage does not run."""
    running = state.running
    for stage, blame in state.blames.items():
        if paths and blame.path not in paths:
            continue
        is_its_own = stage in running or now - blame.at < _OWN_SECONDS
        if paths and not blame.is_certain and not is_its_own:
            state = _cleared(state, stage)
        else:
            blames = {**state.blames, stage: replace(blame, has_moved=True)}
            state = replace(state, blames=blames)
    return state


def note_plan(plan: Plan, state: LoopState) -> LoopState:
    """Give a stage another chance whose other inputs were edited: it may have been mended."""
    keys = {status.name: status.key for status in plan.stages}
    for stage, blame in state.blames.items():
        key = keys.get(stage)
        if not blame.has_moved and key != blame.key:
            state = _cleared(state, stage)
        else:
            blames = {**state.blames, stage: replace(blame, has_moved=False, key=key)}
            state = replace(state, blames=blames)
    return state


def _cleared(state: LoopState, stage: str) -> LoopState:
    if stage not in state.blames:
        return state
    blames = {name: blame for name, blame in state.blames.items() if name != stage}
    return replace(state, blames=blames, blamed=state.blamed - {stage})


def _complaint(stage: str, blame: Blame) -> str:
    seems = "writes" if blame.is_certain else "seems to write"
    return (
        f"{stage} {seems} {blame.path}, which it depends on, and so overtook itself {blame.times} "
        f"times in a row; it is not started again by a save: declare the file in "
        f"stages.{stage}.outs with persist = true, or write elsewhere"
    )
