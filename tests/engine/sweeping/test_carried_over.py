"""What counts in a study that begins anew, and what was asked for: decided from values alone."""

from __future__ import annotations

from dataclasses import replace

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Dimension, KnownTrial, Objective, Range, Study, Sweep
from mlbench.engine.sweeping.carried_over import has_own, that_count, that_still_fit
from mlbench.engine.sweeping.inputs import SweepInputs

_SPACE = (Dimension("x", Range(0.0, 1.0)), Dimension("kind", choices=("a", "b")))
_SWEEP = Sweep("small", "train", (Objective("score", "maximize"),), _SPACE)
_BASE = {"x": 0.5, "kind": "a"}
_STUDY = Study("one", _SWEEP, "2026-01-01T00:00:00.000Z", base=_BASE, inputs={"code:t.py": "1"})
_NOW = SweepInputs((), (), _BASE, {"code:t.py": "1"}, ())
_COMPLETE = KnownTrial(0, TrialState.COMPLETE, {"x": 0.75, "kind": "b"}, (1.0,))
_PRUNED = KnownTrial(1, TrialState.PRUNED, {"x": 0.25, "kind": "b"}, (0.5,))


def test_pruned_trials_count_while_pruning_looks_at_the_same() -> None:
    wider = replace(_SWEEP, space=(Dimension("x", Range(0.0, 2.0)), _SPACE[1]))
    assert that_count([_COMPLETE, _PRUNED], _STUDY, wider, _NOW)[0] == (0, 1)
    other = replace(wider, intermediate=Objective("loss", "minimize"))
    assert that_count([_COMPLETE, _PRUNED], _STUDY, other, _NOW)[0] == (0,)


def test_none_counts_behind_other_code_and_each_reason_is_told_once() -> None:
    moved = replace(_NOW, others={"code:t.py": "2"})
    taken, told = that_count([_COMPLETE, _PRUNED], _STUDY, _SWEEP, moved)
    assert taken == ()
    assert told == [
        "a new study begins, in which 0 trials of the one before count",
        "2 trials not: t.py changed since",
    ]


def test_what_was_asked_for_goes_over_where_the_space_has_it() -> None:
    asked: list[dict[str, object]] = [
        {"x": 0.5},
        {"x": 1.5},
        {"kind": "c"},
        {"size": 3},
        {"kind": "b", "x": 1.0},
    ]
    fitting, told = that_still_fit(asked, _SWEEP)
    assert fitting == [asked[0], asked[4]]
    assert told == [
        "2 trials that were asked for are tried first",
        "x = 1.5, which was asked for, is not tried: the space has it no more",
        'kind = "c", which was asked for, is not tried: the space has it no more',
        "size = 3, which was asked for, is not tried: the space has it no more",
    ]


def test_only_what_began_in_a_study_is_its_own() -> None:
    taken = replace(_COMPLETE, notes={"from": "before"})
    waiting = KnownTrial(2, TrialState.WAITING, {"x": 0.5}, notes={"by_hand": True})
    lost = KnownTrial(3, TrialState.LOST, {"x": 0.5})
    assert not has_own([taken, waiting])
    assert has_own([taken, waiting, lost])
