"""What there is to say of a study at a glance: how it stands, how far it is, how long yet: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from statistics import median

from mlbench.domain.outcomes import TrialState
from mlbench.domain.records import dataclass
from mlbench.domain.sweeps import StudyView, Trial
from mlbench.tui.board import seconds_of

RUNNING_PHASES = ("preparing", "running", "finishing")
Sign = tuple[str, str, str]
"""Word, glyph and colour name."""


@dataclass(frozen=True, slots=True)
class Studied:
    """A study with its trials counted; `took` is the median of a trial's seconds.

    `started` and `ended` are in seconds since the epoch; `ended` is when its last trial did.
    """

    view: StudyView
    counts: Mapping[TrialState, int] = field(default_factory=dict)
    running: tuple[Trial, ...] = ()
    took: float | None = None
    started: float = 0.0
    ended: float | None = None

    @property
    def id(self) -> str:
        """The study's id."""
        return self.view.study.id

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.view.study.name

    @property
    def done(self) -> int:
        """How many trials count towards those that it is to have."""
        return sum(count for state, count in self.counts.items() if state.has_ended)

    @property
    def trials(self) -> int:
        """How many trials it is to have."""
        return self.view.study.sweep.trials

    @property
    def sign(self) -> Sign:
        """How it stands: word, glyph, colour."""
        progress = self.view.progress
        if self.view.is_running:
            word = progress.phase if progress.phase in RUNNING_PHASES else "starting"
            return (word, "▶", "accent" if word == "running" else "info")
        if progress.is_done:
            return ("done", "✓", "ok")
        if progress.phase == "ended":
            return ("stopped", "■", "warn")
        return ("broken off", "?", "warn")

    @property
    def best(self) -> Trial | None:
        """The best trial; of a front the first."""
        return best_trial(self.view)

    def gone(self, now: float) -> float:
        """Seconds from its beginning to now, or to the end of its last trial."""
        until = now if self.view.is_running or self.ended is None else self.ended
        return max(0.0, until - self.started)

    def left(self, now: float, jobs: int) -> float | None:
        """Seconds that the rest will probably take; None where nobody can tell."""
        if not self.view.is_running or self.took is None:
            return None
        begun = [max(0.0, now - seconds_of(trial.started)) for trial in self.running]
        to_begin = max(0, self.trials - self.done - len(begun))
        if self.view.progress.phase == "finishing":
            to_begin = 0
        under_way = [max(0.0, self.took - seconds) for seconds in begun]
        estimate = max((to_begin * self.took + sum(under_way)) / max(1, jobs), *under_way, 0.0)
        timeout = self.view.study.sweep.timeout
        return estimate if timeout is None else min(estimate, max(0.0, timeout - self.gone(now)))


def studied(view: StudyView) -> Studied:
    """A study with its trials counted and measured."""
    trials = view.trials
    spans = [
        seconds_of(trial.ended) - seconds_of(trial.started)
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.started and trial.ended
    ]
    ends = max((trial.ended for trial in trials), default="")
    return Studied(
        view,
        Counter(trial.state for trial in trials),
        tuple(trial for trial in trials if trial.state is TrialState.RUNNING),
        median(spans) if spans else None,
        seconds_of(view.study.started),
        seconds_of(ends) if ends else None,
    )


def best_trial(view: StudyView) -> Trial | None:
    """The best trial; of a front the first."""
    return trial_of(view.trials, view.best[0]) if view.best else None


def trial_of(trials: Sequence[Trial], number: int) -> Trial | None:
    """The trial with this number; they come in the order of their numbers."""
    place = number if number < len(trials) else len(trials) - 1
    for index in range(place, -1, -1):
        if trials[index].number == number:
            return trials[index]
        if trials[index].number < number:
            break
    return None
