"""The files of a study: its board stays small, and its coordinator's last word finds room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Progress, Trial
from mlbench.engine.study_files import StudyFiles
from mlbench.project.layout import Layout
from mlbench.system.journal import append
from tests.small_disk import small_disk

STUDY = "20260101-000000-00000000"


def _files(root: Path) -> StudyFiles:
    files = StudyFiles(Layout(root), STUDY)
    files.folder.mkdir(parents=True)
    return files


def test_a_board_of_which_most_is_of_the_past_is_compacted(tmp_path: Path) -> None:
    files = _files(tmp_path)
    trials = {n: Trial(n, TrialState.COMPLETE, curve=((0, 1.0), (9, 0.5))) for n in range(20)}
    files.write_trials(trials.values(), anew=True)
    largest, sizes = 0, []
    for step in range(20_000):
        trials[20] = Trial(20, TrialState.RUNNING, step=step, intermediate=1.0)
        files.write_trials([trials[20]])
        if step % 100 == 99:
            before = files.board.stat().st_size
            files.compact(trials.values())
            sizes.append(files.board.stat().st_size)
            largest = max(largest, before)
            assert files.trials() == trials
    assert largest < 2 << 20
    assert min(sizes) < 1 << 14


def test_a_board_that_is_large_for_its_trials_is_left_as_it_is(tmp_path: Path) -> None:
    files = _files(tmp_path)
    trials = [Trial(n, TrialState.COMPLETE, reason="x" * 4000) for n in range(400)]
    files.write_trials(trials, anew=True)
    inode = files.board.stat().st_ino
    files.write_trials([replace(trials[0], reason="")])
    files.compact(trials)
    assert files.board.stat().st_ino == inode


def test_a_line_that_is_no_trial_costs_no_other_trial(tmp_path: Path) -> None:
    files = _files(tmp_path)
    append(files.board, [["no", "trial"], {"state": "complete"}, 7], durable=False)
    files.write_trials([Trial(3, TrialState.PRUNED)])
    append(files.board, [{"number": 4, "state": "unheard of"}], durable=False)
    assert files.trials() == {3: Trial(3, TrialState.PRUNED)}


def test_on_a_full_disk_it_is_still_said_how_a_sweep_ended() -> None:
    with small_disk("256k") as disk:
        files = _files(disk)
        files.write_progress(Progress("running", pid=7))
        _fill(disk)
        ending = Progress("ended", because="No space left on device", has_failed=True)
        files.write_progress(ending)
        assert files.progress() == ending


def _fill(disk: Path) -> None:
    with (disk / "all").open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return
