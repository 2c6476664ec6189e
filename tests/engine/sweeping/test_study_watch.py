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


def test_a_long_curve_is_put_together_once_a_look(tmp_path: Path) -> None:
    files = _files(tmp_path)
    watched = WatchedStudy(files)
    running = Trial(0, TrialState.RUNNING, started="2026-11-24T10:00:00.000Z")
    points = tuple((step, 1.0 / step) for step in range(1, 4001))
    files.write_trials([replace(running, step=step, intermediate=v) for step, v in points[:2000]])
    watched.look()
    first = watched.curves[0]
    files.write_trials([replace(running, step=step, intermediate=v) for step, v in points[2000:]])
    watched.look()
    assert watched.curves[0] == points
    assert first == points[:2000], "whoever draws what was known before is not disturbed"


def test_another_board_leaves_no_curve_of_the_trials_before(tmp_path: Path) -> None:
    files = _files(tmp_path)
    watched = WatchedStudy(files)
    begun = "2026-11-24T10:00:0{}.000Z".format
    going = Trial(0, TrialState.RUNNING, started=begun(0))
    other = Trial(1, TrialState.RUNNING, started=begun(1))
    third = Trial(2, TrialState.RUNNING, started=begun(2))
    for step in (1, 2):
        now = [replace(each, step=step, intermediate=0.5) for each in (going, other, third)]
        files.write_trials(now)
        watched.look()
    again = replace(other, started=begun(9), step=3, intermediate=0.1)
    files.write_trials([replace(going, step=3, intermediate=0.4), again], anew=True)
    watched.look()
    assert watched.curves == {
        0: ((1, 0.5), (2, 0.5), (3, 0.4)),
        1: ((3, 0.1),),
    }, "one that goes on keeps its curve, one begun anew does not, one that is gone has none"
