"""Following a study until its coordinator has ended; Ctrl-C stops it, in two steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mlbench.cli.main import INTERRUPTED
from mlbench.cli.sweep_news import Board, counts, is_over, news
from mlbench.cli.sweep_voices import End, Voice
from mlbench.domain.best_trials import best_of
from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Progress, StopSweep, Study, StudyView
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.study_watch import WatchedStudy

_POLL_SECONDS = 0.1
_WAITED_FOR = "no new trials; those that run are waited for, Ctrl-C once more stops them"
_STOPPED = "stopping the trials that run; once more leaves at once"


def follow(files: StudyFiles, voice: Voice, since: str) -> int:
    """Tell what happens in a study until nobody works on it; gives the exit status.

    Trials that ended before `since`, ISO 8601 in UTC, are not told. Each Ctrl-C asks for more: no
    new trials, none at all, and at last KeyboardInterrupt. SweepError where the study is gone.
    """
    follower = _Follower(files, voice, since)
    with _presses() as pressed:
        while True:
            # Asked first: what was written before its end is then still read.
            is_running = files.is_running
            view = follower.look()
            if not is_running:
                return follower.end(view)
            follower.obey(len(pressed))
            time.sleep(_POLL_SECONDS)


def because_of(progress: Progress, files: StudyFiles) -> str:
    """Why nobody works on a study any more, in one sentence."""
    if progress.phase == "ended":
        return progress.because
    return f"its coordinator is gone without a word; {files.log} has what it printed"


def status_of(progress: Progress, board: Board, *, was_stopped: bool) -> int:
    """0 where the limits are reached with a trial complete, 130 where it was stopped here, else 1.

    What can't be begun or gone on with has a status of its own: 2 for a wrong sampler, say.

    A study that was stopped and has reached its limits meanwhile is done.
    """
    is_done = progress.phase == "ended" and progress.is_done
    if was_stopped and not is_done:
        return INTERRUPTED
    if progress.has_failed:
        return progress.exit_status
    return 0 if is_done and counts(board.values())[TrialState.COMPLETE.word] else 1


class _Follower:
    """What was told of a study so far, and what was asked of its coordinator."""

    def __init__(self, files: StudyFiles, voice: Voice, since: str) -> None:
        self._files, self._voice, self._since = files, voice, since
        self._watched = WatchedStudy(files)
        self._view: StudyView | None = None
        self._told: Board | None = None
        self._board: Board = {}
        self._stops = 0
        self._start = time.monotonic()

    def look(self) -> StudyView:
        """Tell what is new, and how it stands; gives how that is."""
        view = self._watched.look()
        if view is None:
            raise SweepError(f"{self._files.folder}: nobody can say any more what this study is")
        if view is not self._view:
            self._view = view
            self._board = {trial.number: trial for trial in view.trials}
            self._tell(view.study)
        self._voice.stand(view.study, self._board, view.progress)
        return view

    def obey(self, presses: int) -> None:
        """Ask of the coordinator what the presses of Ctrl-C so far mean."""
        if presses > 2:
            raise KeyboardInterrupt
        if presses > self._stops:
            self._stops = presses
            self._files.send(StopSweep(at_once=presses > 1))
            self._voice.say(_STOPPED if presses > 1 else _WAITED_FOR)

    def end(self, view: StudyView) -> int:
        """Tell how it ended; gives the exit status."""
        study, progress = view.study, view.progress
        best = best_of(self._board.values(), study.sweep.objectives)
        seconds = time.monotonic() - self._start
        is_done = progress.phase == "ended" and progress.is_done
        goes_on = not is_done and not progress.has_failed
        end = End(because_of(progress, self._files), seconds, is_done, goes_on)
        self._voice.finish(study, self._board, best, end)
        return status_of(progress, self._board, was_stopped=self._stops > 0)

    def _tell(self, study: Study) -> None:
        # A coordinator writes the whole board anew when it begins: old trials may come at any look.
        before = {
            number: trial
            for number, trial in self._board.items()
            if is_over(trial.state) and (trial.ended or trial.started) < self._since
        }
        if self._told is None:
            self._told = {}
            self._voice.begin(study, before)
        self._told = {**self._told, **before}
        self._voice.tell(study, news(self._told, self._board, study.sweep.objectives))
        self._told = {**self._told, **self._board}


@contextmanager
def _presses() -> Iterator[list[int]]:
    """The signals of Ctrl-C, and of a service manager's stop, that came so far.

    Raised as KeyboardInterrupt they might tear a line of the output, or lose a trial's.
    """
    came: list[int] = []

    def count(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
