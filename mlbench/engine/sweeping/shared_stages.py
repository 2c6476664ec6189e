"""What no parameter of a sweep touches: built once for all trials, also across coordinators."""

from __future__ import annotations

from collections.abc import Sequence

from mlbench.engine.sweeping.trial_run import SHARED, TrialRun, Workplace
from mlbench.inside.identity import new_run_id
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.trial_slot import Claim, TrialSlot


def shared_run(place: Workplace, slots: Sequence[TrialSlot]) -> TrialRun:
    """A run of the stages that all trials share, in the slot that it was left in, or the first.

    What a coordinator before began of them is gone on with where its process lives still.
    """
    slot = next((one for one in slots if _is_shared(one.claim)), slots[0])
    claim, launches = _left_in(slot)
    slot.take_for(claim)
    return TrialRun(place, slot, claim, ({},), lambda *_: None, launches)


def _left_in(slot: TrialSlot) -> tuple[Claim, tuple[Launch, ...]]:
    claim = slot.claim
    if claim is not None and _is_shared(claim):
        launches, lost = slot.take_up()
        if launches and not lost:
            return claim, launches
    slot.clear()
    return Claim(SHARED, {}, (new_run_id(),)), ()


def _is_shared(claim: Claim | None) -> bool:
    return claim is not None and claim.number == SHARED
