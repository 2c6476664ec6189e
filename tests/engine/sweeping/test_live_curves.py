"""What trials log on their way: told to the study, shown in growing pauses, and kept thinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.sweeps import Component, Dimension, Objective, Range, Sweep
from mlbench.engine.sweeping.live_curves import MOST_KEPT, LiveCurves, thinned
from mlbench.inside.stepwriter import StepWriter
from mlbench.sweeps.study import OptunaStudy

SWEEP = Sweep(
    "quick",
    "train",
    (Objective("score", "maximize"),),
    (Dimension("train.x", range=Range(0.0, 1.0)),),
    intermediate=Objective("loss", "minimize"),
)


class Clock:
    """Goes on where it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A trial under way whose stage logs what it is told to."""

    def __init__(self, folder: Path, sweep: Sweep = SWEEP) -> None:
        self.clock = Clock()
        self.study = OptunaStudy.open(folder / "journal.log", sweep, {})
        self.curves = LiveCurves(sweep, self.study, self.clock)
        self.number, _ = self.study.ask()
        stage = folder / "train"
        stage.mkdir()
        self._writer = StepWriter(str(stage))
        self.curves.follow(self.number, [stage])

    def log(self, points: Sequence[tuple[int, float]]) -> None:
        for step, value in points:
            self._writer.add("loss", value, step, 0.0)

    @property
    def reported(self) -> dict[int, float]:
        return dict(self.study.known()[self.number].intermediate)


def test_a_study_without_a_pruner_is_told_the_curve_too(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.log([(0, 3.0), (1, 2.0)])
    assert scene.curves.look(scene.number).latest == (1, 2.0)
    scene.log([(2, 1.0)])
    assert scene.curves.end(scene.number) == ((0, 3.0), (1, 2.0), (2, 1.0))
    # Turned round, for what is minimized among what is maximized.
    assert scene.reported == {0: -3.0, 1: -2.0, 2: -1.0}
    assert scene.curves.reported(scene.study.known()[0]) == ((0, 3.0), (1, 2.0), (2, 1.0))


def test_nothing_is_reported_beyond_the_step_of_which_a_trial_was_pruned(tmp_path: Path) -> None:
    pruner = Component("ThresholdPruner", {"upper": 5.0})
    scene = Scene(tmp_path, replace(SWEEP, pruner=pruner))
    scene.log([(0, 3.0), (1, 9.0), (2, 9.5)])
    assert scene.curves.look(scene.number).is_pruned
    scene.log([(3, 9.9)])
    assert not scene.curves.look(scene.number).is_pruned
    scene.log([(4, 9.9)])
    assert [step for step, _ in scene.curves.end(scene.number)] == [0, 1, 2, 3, 4]
    assert scene.reported == {0: -3.0, 1: -9.0}


def test_a_trial_that_is_ending_already_is_not_judged(tmp_path: Path) -> None:
    pruner = Component("ThresholdPruner", {"upper": 5.0})
    scene = Scene(tmp_path, replace(SWEEP, pruner=pruner))
    scene.log([(0, 9.0)])
    assert not scene.curves.look(scene.number, is_judged=False).is_pruned
    assert scene.reported == {0: -9.0}


@pytest.mark.parametrize(("seconds", "most"), [(20.0, 90), (3600.0, 700), (86400.0, 1000)])
def test_a_long_trial_is_shown_ever_less_often(tmp_path: Path, seconds: float, most: int) -> None:
    scene = Scene(tmp_path)
    shown = 0
    step = 0
    while scene.clock.now < seconds:
        scene.log([(step, 1.0)])
        shown += scene.curves.look(scene.number).latest is not None
        step += 1
        scene.clock.now += max(0.2, scene.clock.now / 500)
    assert 20 < shown <= most


@given(st.integers(0, 1000), st.integers(2, 200))
def test_thinned_points_keep_their_order_and_both_ends(count: int, most: int) -> None:
    points = tuple((step, float(step)) for step in range(count))
    kept = thinned(points, most)
    assert len(kept) == min(count, most)
    assert list(kept) == sorted(set(kept))
    assert (kept[:1], kept[-1:]) == (points[:1], points[-1:])


def test_of_many_points_as_many_are_kept_as_a_chart_tells_apart(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for start in range(0, 4000, 500):
        scene.log([(step, float(step)) for step in range(start, start + 500)])
        scene.curves.look(scene.number)
    curve = scene.curves.end(scene.number)
    assert len(curve) == MOST_KEPT
    assert curve[0] == (0, 0.0)
    assert curve[-1][0] == max(scene.reported)
