"""A trial whose parameters were handed on already, by a coordinator that was killed just then."""

from __future__ import annotations

from pathlib import Path

from mlbench.engine.sweeping.opened import Opened
from mlbench.inside.identity import new_run_id
from mlbench.pipeline.snapshots.trial_slot import Claim
from mlbench.project.layout import Layout
from tests.engine.sweeping.evidence import faults, gather
from tests.engine.sweeping.quick_sweep import begun_study, coordinate, score, write_quick


def test_a_lost_trial_that_is_tried_again_is_not_gone_on_with_too(root: Path, count: Path) -> None:
    write_quick(root, count, trials=3)
    files = begun_study(root)
    opened = Opened(Layout(root), files)
    slots = opened.slots()
    number, params = opened.optuna.ask()
    slots[0].take_for(Claim(number, params, (new_run_id(),)))
    # The first half of losing it: killed before the trial itself was ended.
    opened.optuna.enqueue(params, {"instead_of": number})
    opened.close(slots, is_done=False)
    assert coordinate(files, root) == 0
    assert faults(gather(files, root, count), 3, score) == []
