"""What the trials under way log by step: told to the study, held to its pruner, and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mlbench.domain.records import dataclass
from mlbench.domain.sweeps import KnownTrial, Sweep
from mlbench.engine.sweeping.pruning import StepFollower
from mlbench.sweeps.study import OptunaStudy

Points = tuple[tuple[int, float], ...]
MOST_KEPT = 64
"""Points of a trial that stay on the board: as many as a chart of a terminal tells apart."""
_NO_PRUNER = "NopPruner"
# The pauses between two lines on the board grow with the trial, so that a day of it makes a few
# hundred lines more than an hour.
_LEAST_PAUSE, _PAUSES = 0.25, 100


@dataclass(frozen=True, slots=True)
class Look:
    """What came of a trial's curve since the last look.

    `latest` is its last point where it is time to show it; `is_pruned`: it is not worth its time.
    """

    latest: tuple[int, float] | None = None
    is_pruned: bool = False


class LiveCurves:
    """The curves of the trials under way, by number."""

    def __init__(
        self, sweep: Sweep, study: OptunaStudy, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds."""
        self._sweep = sweep
        self._study = study
        self._clock = clock
        self._metric = sweep.watched.metric.removeprefix("metrics.")
        self._is_turned = sweep.watched.direction != sweep.objectives[0].direction
        self._may_prune = sweep.pruner.name != _NO_PRUNER and len(sweep.objectives) == 1
        self._followed: dict[int, _Followed] = {}

    def follow(self, number: int, folders: Iterable[Path]) -> None:
        """Read what a trial logs in these folders of its stages from now on."""
        follower = StepFollower(tuple(folders), self._metric, self._sweep.pruner)
        now = self._clock()
        self._followed[number] = _Followed(follower, now, now)

    def look(self, number: int, *, is_judged: bool = True) -> Look:
        """Report what came since, and ask the pruner, if `is_judged`, at each point of it."""
        followed = self._followed[number]
        news = tuple(followed.follower.new())
        if not news:
            return Look()
        followed.points = thinned((*followed.points, *news), 2 * MOST_KEPT)
        is_pruned = False
        if not followed.is_pruned:
            is_pruned = self._report(number, news, is_judged=is_judged and self._may_prune)
            followed.is_pruned = is_pruned
        now = self._clock()
        if not is_pruned and now < followed.next_shown:
            return Look()
        pause = max(_LEAST_PAUSE, (now - followed.begun) / _PAUSES)
        followed.next_shown = now + pause
        return Look(news[-1], is_pruned)

    def end(self, number: int) -> Points:
        """The curve of a trial that is about to be told, with its last points; it is forgotten."""
        followed = self._followed.pop(number)
        news = tuple(followed.follower.new())
        if not followed.is_pruned:
            self._report(number, news, is_judged=False)
        return thinned((*followed.points, *news), MOST_KEPT)

    def reported(self, known: KnownTrial) -> Points:
        """What a trial had come to by the study alone, by step."""
        steps = sorted(known.intermediate.items())
        points = ((step, -value if self._is_turned else value) for step, value in steps)
        return thinned(tuple(points), MOST_KEPT)

    def _report(self, number: int, points: Points, *, is_judged: bool) -> bool:
        """Whether the pruner gives the trial up; what came after that point is not reported.

        A sampler goes by the last step that a pruned trial came to.
        """
        for step, value in points:
            self._study.report(number, step, -value if self._is_turned else value)
            if is_judged and self._study.should_prune(number):
                return True
        return False


class _Followed:
    """One trial's log, what of it is kept, and when it is to be shown again."""

    def __init__(self, follower: StepFollower, begun: float, next_shown: float) -> None:
        self.follower = follower
        self.begun = begun
        self.next_shown = next_shown
        self.points: Points = ()
        self.is_pruned = False


def thinned(points: Points, most: int) -> Points:
    """No more than so many of the points, evenly taken, the first and the last among them."""
    if len(points) <= most:
        return points
    last = len(points) - 1
    return tuple(points[round(place * last / (most - 1))] for place in range(most))
