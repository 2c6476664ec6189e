"""Every study again and again, for a face that follows them: only what is new is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from mlbench.domain.best_trials import best_of
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Objective, Progress, Study, StudyView, Trial
from mlbench.engine.study_files import StudyFiles, all_studies, trials_in
from mlbench.project.layout import Layout
from mlbench.system.journal import Journal

T = TypeVar("T")
Point = tuple[int, float]
Curve = tuple[Point, ...]
# The front is looked for among so many trials at a time: its cost grows with their square.
_AT_ONCE = 64


class StudyWatch:
    """Looks at every study; one that did not change costs a few looks at the file system."""

    def __init__(self, layout: Layout) -> None:
        """Look at this project's studies."""
        self._layout = layout
        self._watched: dict[str, WatchedStudy] = {}

    def look(self) -> tuple[StudyView, ...]:
        """Every study as it stands, newest first; the same view again where nothing changed."""
        names = {files.id: files for files in all_studies(self._layout)}
        self._watched = {
            name: self._watched.get(name) or WatchedStudy(files) for name, files in names.items()
        }
        looked = (watched.look() for watched in self._watched.values())
        return tuple(view for view in looked if view is not None)

    def curves(self, study: str) -> Mapping[int, Sequence[Point]]:
        """What each trial of a study reported by step, as far as it was seen on the board."""
        watched = self._watched.get(study)
        return dict(watched.curves) if watched is not None else {}


class WatchedStudy:
    """One study: its board is read on from where it was, its small files where they changed."""

    def __init__(self, files: StudyFiles) -> None:
        """Watch this one."""
        self._files = files
        self._journal = Journal(files.board)
        self._trials: dict[int, Trial] = {}
        self._best: tuple[int, ...] = ()
        self._view: StudyView | None = None
        self._study: _Kept[Study | None] = _Kept(files.folder / "study.json", files.study)
        self._progress: _Kept[Progress] = _Kept(files.folder / "progress.json", files.progress)
        self.curves: dict[int, Curve] = {}

    def look(self) -> StudyView | None:
        """How it stands; None where it can't be read, or is not written yet."""
        study, progress = self._study.value, self._progress.value
        if study is None or progress is None:
            return None
        has_ended = progress.phase == "ended"
        is_running = not has_ended and self._files.is_running
        is_new = self._read_on(study.sweep.objectives)
        before = self._view
        if (
            before is None
            or is_new
            or (before.study, before.progress, before.is_running) != (study, progress, is_running)
        ):
            trials = tuple(self._trials[number] for number in sorted(self._trials))
            self._view = StudyView(study, trials, progress, is_running, self._best)
        return self._view

    def _read_on(self, objectives: Sequence[Objective]) -> bool:
        """Take in what came onto the board; whether something did."""
        is_anew, lines = self._journal.news()
        if not (is_anew or lines):
            return False
        before = self._trials
        if is_anew:
            self._trials, self._best = {}, ()
        trials = list(trials_in(lines))
        news = {trial.number: trial for trial in trials}
        self._trials.update(news)
        if is_anew:
            self.curves = {
                number: curve
                for number, curve in self.curves.items()
                if _is_one_run(before.get(number), self._trials.get(number))
            }
        self.curves.update(_curves_of(trials, self.curves))
        ended = [trial for trial in news.values() if trial.state is TrialState.COMPLETE]
        for start in range(0, len(ended), _AT_ONCE):
            known = [self._trials[number] for number in self._best]
            self._best = best_of([*known, *ended[start : start + _AT_ONCE]], objectives)
        return True


def _curves_of(trials: Iterable[Trial], before: Mapping[int, Curve]) -> dict[int, Curve]:
    """The curves that the lines of a board change, after those of the lines before it.

    A trial's points are put together once for all of its lines: one that logs often has many.
    """
    grown: dict[int, list[Point]] = {}
    for trial in trials:
        if trial.curve:
            grown[trial.number] = list(trial.curve)
        elif trial.step is not None and trial.intermediate is not None:
            if trial.number not in grown:
                grown[trial.number] = list(before.get(trial.number, ()))
            points = grown[trial.number]
            # A trial that is run again, with another seed say, begins its curve anew.
            while points and points[-1][0] >= trial.step:
                points.pop()
            points.append((trial.step, trial.intermediate))
    return {number: tuple(points) for number, points in grown.items()}


def _is_one_run(before: Trial | None, now: Trial | None) -> bool:
    """Whether a trial of another board is the one known from the board before.

    A board that is written anew has the last line of each trial alone: what a running one reported
    earlier is known from the lines before.
    """
    return before is not None and now is not None and before.started == now.started


class _Kept(Generic[T]):
    """What a small file says, read again only where the file is another."""

    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        self._path, self._read = path, read
        self._stamp: tuple[int, int, int] | None = None
        self._known: T | None = None

    @property
    def value(self) -> T | None:
        """What it says now; where there is no file, what is read without one."""
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            stamp = (0, 0, 0)
        if stamp != self._stamp:
            self._known, self._stamp = self._read(), stamp
        return self._known
