"""What a study does next: begin more trials, wait, or end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from mlbench.domain.clock import seconds_of
from mlbench.domain.phrases import clock, plural
from mlbench.domain.records import dataclass
from mlbench.domain.study_analysis import since_better
from mlbench.domain.sweeps import Sweep, Trial

_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """How many trials to begin now; or why no more are begun.

    `is_done`: its limits say so; `has_failed`: the study can't be gone on with as it is.
    """

    begin: int = 0
    because: str = ""
    is_done: bool = False
    has_failed: bool = False


class Decider:
    """Decides anew where a trial began or ended, and now and then for the time that goes by.

    All trials are looked at for that, and a study may have ten thousand.
    """

    def __init__(self, sweep: Sweep) -> None:
        """For a study of this sweep."""
        self._sweep = sweep
        self._decided = Decision()
        self._next = 0.0

    def look_again(self) -> None:
        """A trial began or ended."""
        self._next = 0.0

    def decide(self, trials: Mapping[int, Trial], free: int, running: int) -> Decision:
        """What is to happen now, as the function of this name has it."""
        now = time.monotonic()
        if now >= self._next:
            self._decided = decide(self._sweep, [*trials.values()], free, running, time.time())
            self._next = now + _PAUSE_SECONDS
        return self._decided


def decide(sweep: Sweep, trials: Sequence[Trial], free: int, running: int, now: float) -> Decision:
    """What is to happen while so many slots are free and so many trials run; `now` is in seconds.

    Lost trials don't count: they are tried again.
    """
    ended = [trial for trial in trials if trial.state.has_ended]
    if len(ended) >= sweep.trials:
        return Decision(because=f"all {plural(sweep.trials, 'trial')} have ended", is_done=True)
    if sweep.timeout is not None and worked_seconds(trials, now) >= sweep.timeout:
        return Decision(because=f"its time of {clock(sweep.timeout)} is over", is_done=True)
    if sweep.patience is not None and since_better(ended, sweep.objectives) >= sweep.patience:
        told = f"no better one in {plural(sweep.patience, 'trial')}"
        return Decision(because=told, is_done=True)
    return Decision(begin=max(0, min(free, sweep.trials - len(ended) - running)))


def worked_seconds(trials: Iterable[Trial], now: float) -> float:
    """How long at least one trial was on its way, over all the times that it was gone on with."""
    spans = sorted(
        (seconds_of(trial.started), seconds_of(trial.ended) if trial.ended else now)
        for trial in trials
        if trial.started and not trial.from_study
    )
    total, covered = 0.0, 0.0
    for begin, end in spans:
        total += max(0.0, end - max(begin, covered))
        covered = max(covered, end)
    return total
