"""Curves of a stage's metrics: from its pyramid, its logs as they grow, or files it fills."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from mlbench.domain.curves import Curve, Points, Summary
from mlbench.tracking.columns import Stretches, columns_of
from mlbench.tracking.growing import Chunk, Growing
from mlbench.tracking.levels import DamagedPyramidError, Levels, write_pyramid
from mlbench.tracking.pyramid import WORTH
from mlbench.tracking.pyramid_file import Directory, is_current, read_directory
from mlbench.tracking.steps import StepReader


class CurveReader:
    """Answers again and again how the curves of one stage's folder stand, also while they grow.

    `files` gives the points of curve files that the stage is writing; what didn't change since it
    was asked last must be the same object. A name that was logged as well is left to the log.
    """

    def __init__(self, folder: Path, files: Callable[[], Points] = dict) -> None:
        """Remember the folder; it may come into being later."""
        self._folder = folder
        self._files = files
        self._steps: StepReader | None = None
        self._pyramid: tuple[Directory, Levels] | None = None
        self._from_files: dict[str, tuple[object, Growing]] = {}
        self._drawn: dict[str, tuple[tuple[int, int, int, int], Curve]] = {}
        self._last_count = 0
        self._has_kept = False

    def summaries(self) -> dict[str, Summary]:
        """Each metric as of now, in the order in which the names were first seen."""
        if self._steps is None and self._open_pyramid() is not None:
            assert self._pyramid is not None
            return {metric.name: metric.summary for metric in self._pyramid[0].metrics}
        return {name: growing.summary() for name, growing in self._gather().items()}

    def curves(
        self,
        width: int,
        *,
        names: Iterable[str] | None = None,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> tuple[Curve, ...]:
        """The metrics in `width` columns over the window, by default each over all its steps.

        What was not logged is left out.
        """
        summaries = self.summaries()
        wanted = summaries if names is None else [name for name in names if name in summaries]
        return tuple(
            self._curve(name, summaries[name], first_step, last_step, width) for name in wanted
        )

    def _curve(
        self, name: str, summary: Summary, first: int | None, last: int | None, width: int
    ) -> Curve:
        first = summary.first_step if first is None else first
        last = summary.last_step if last is None else last
        asked = summary.count, width, first, last
        known = self._drawn.get(name)
        if known is not None and known[0] == asked:
            return known[1]
        stretches = self._window(name, first, last, width)
        extremes = summary.extremes
        curve = Curve(
            name=name,
            first_step=first,
            last_step=last,
            last=summary.last,
            low=extremes.min,
            low_step=extremes.min_step,
            high=extremes.max,
            high_step=extremes.max_step,
            columns=columns_of(stretches, first, last, width),
        )
        # Neither as it was before it grew nor of another window is it likely to be asked for again.
        self._drawn[name] = asked, curve
        return curve

    def _window(self, name: str, first: int, last: int, width: int) -> Stretches:
        if self._steps is None and self._pyramid is not None:
            try:
                found = self._pyramid[1].window(name, first, last, width)
            except (OSError, DamagedPyramidError):
                found = None
            if found is not None:
                return found
        return self._gather()[name].window(first, last, width)

    def _open_pyramid(self) -> Directory | None:
        """The pyramid's directory where it stands for the logs as they are now."""
        if self._pyramid is None:
            directory = read_directory(self._folder)
            if directory is None:
                return None
            self._pyramid = directory, Levels(self._folder, directory)
        if is_current(self._folder, self._pyramid[0]):
            return self._pyramid[0]
        self._pyramid = None
        return None

    def _gather(self) -> Mapping[str, Growing]:
        """All the points; from now on they are read from the logs themselves."""
        self._steps = self._steps or StepReader(self._folder)
        gathered = dict(self._steps.gather())
        self._keep_pyramid(self._steps)
        for name, points in self._files().items():
            known = self._from_files.get(name)
            if points and (known is None or known[0] is not points):
                known = self._from_files[name] = points, _growing(name, points)
                # It may have been written anew, with as many points as before.
                self._drawn.pop(name, None)
            if known is not None:
                gathered.setdefault(name, known[1])
        return gathered

    def _keep_pyramid(self, steps: StepReader) -> None:
        """Write a missing or damaged pyramid anew, once nothing more seems to come."""
        count = sum(growing.count for growing in steps.gathered.values())
        if count == self._last_count >= WORTH and not self._has_kept:
            self._has_kept = True
            with contextlib.suppress(OSError):
                write_pyramid(self._folder, steps)
        self._last_count = count


def _growing(name: str, points: Iterable[tuple[int, float]]) -> Growing:
    """Points of a file, in its order where steps are equal."""
    steps, values = zip(*points, strict=True)
    growing = Growing()
    times = np.arange(len(steps), dtype=np.float64)
    growing.add(Chunk(name, np.array(steps, np.int64), np.array(values, np.float64), times))
    return growing
