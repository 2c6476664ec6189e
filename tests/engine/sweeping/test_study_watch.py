"""What a face that follows a study knows of its trials' curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Trial
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.study_watch import WatchedStudy
from tests.engine.sweeping.quick_sweep import begun_study, write_quick


def _files(folder: Path) -> StudyFiles:
    root = (folder / "quick").resolve()
    write_quick(root, folder / "prepared", trials=2)
    return begun_study(root)


def test_a_curve_grows_as_it_is_shown_and_is_whole_at_the_end(tmp_path: Path) -> None:
    files = _files(tmp_path)
    watched = WatchedStudy(files)
    running = Trial(0, TrialState.RUNNING)
    for step, value in ((0, 3.0), (5, 2.0)):
        files.write_trials([replace(running, step=step, intermediate=value)])
        watched.look()
    assert watched.curves[0] == ((0, 3.0), (5, 2.0))
    whole = tuple((step, 3.0 - step / 5) for step in range(8))
    files.write_trials([replace(running, state=TrialState.COMPLETE, curve=whole, step=7)])
    watched.look()
    assert watched.curves[0] == whole


def test_curves_of_trials_that_ended_are_there_for_who_comes_later(tmp_path: Path) -> None:
    files = _files(tmp_path)
    curve = ((0, 1.0), (3, 0.5))
    files.write_trials(
        [Trial(0, TrialState.PRUNED, step=3, intermediate=0.5, curve=curve)], anew=True
    )
    late = WatchedStudy(files)
    late.look()
    assert late.curves == {0: curve}
