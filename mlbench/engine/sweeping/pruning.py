"""What a pruner is told of a trial: live points of one metric, few enough to write each down.

Optuna's journal is fsynced for each report, and a stage may log 100,000 steps. Of these a pruner
gets the first in each cell of a grid: every step below 64, then 32 cells to the octave. Which these
are depends on the logs alone and never on when somebody looked at them, so that trials that log the
same steps report the same ones: MedianPruner compares values at the very same step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from mlbench.domain.sweeps import Component
from mlbench.tracking.growing import Chunk
from mlbench.tracking.steps import StepReader

Grid = Callable[[int], int]
"""Gives the cell of a step; cells rise with the steps."""

_ALL_BELOW_BITS = 6
_DEFAULT_REDUCTIONS = {"SuccessiveHalvingPruner": 4, "HyperbandPruner": 3}


def rung_of(step: int) -> int:
    """The cell of a step from 0 on: one a step below 64, then 32 to the octave."""
    shift = max(0, step.bit_length() - _ALL_BELOW_BITS)
    return 32 * shift + (step >> shift)


def grids_of(pruner: Component) -> tuple[Grid, ...]:
    """The grids that its reports come by: the common one, and one that begins a cell where it asks.

    Those with `interval_steps` look at the first report from n_warmup_steps + k * interval_steps
    on, those that halve at the first from min_resource * reduction_factor**k on.
    """
    options = pruner.options
    warmup, interval = options.get("n_warmup_steps", 0), options.get("interval_steps", 1)
    if warmup or interval > 1:
        return (rung_of, _every(interval, warmup))
    if pruner.name in _DEFAULT_REDUCTIONS:
        least = options.get("min_resource", 1)
        factor = options.get("reduction_factor", _DEFAULT_REDUCTIONS[pruner.name])
        # "auto" follows from the trials that have ended.
        if isinstance(least, int):
            return (rung_of, _powers(least, factor))
    return (rung_of,)


class StepFollower:
    """Follows one metric over the step logs of a trial's stages, whichever process writes them."""

    def __init__(
        self, folders: Sequence[Path], metric: str, pruner: Component | None = None
    ) -> None:
        """Remember the stages' folders, which may come into being later, and whom it is for."""
        self._readers = [StepReader(folder) for folder in folders]
        self._metric = metric
        self._grids = (rung_of,) if pruner is None else grids_of(pruner)
        self._entered: dict[tuple[int, str], list[set[int]]] = {}
        self._told: set[int] = set()

    def new(self) -> list[tuple[int, float]]:
        """Step and value of what is to be reported since the last call, by step, each step once.

        Of two values for a step the earlier one counts. What is infinite becomes NaN, which every
        pruner takes for worst; steps below 0, which Optuna refuses, are left out.
        """
        found: list[tuple[int, float, float]] = []
        for place, reader in enumerate(self._readers):
            for log, chunk in reader.new_chunks():
                if chunk.name == self._metric:
                    found += self._entering(chunk, self._cells_of((place, log)))
        points = []
        for step, _, value in sorted(found, key=itemgetter(0, 1)):
            if step not in self._told:
                self._told.add(step)
                points.append((step, value if math.isfinite(value) else math.nan))
        return points

    def _cells_of(self, log: tuple[int, str]) -> list[set[int]]:
        """The cells that a log has been in, of each grid: its own, for logs come at any time."""
        return self._entered.setdefault(log, [set() for _ in self._grids])

    def _entering(
        self, chunk: Chunk, entered: list[set[int]]
    ) -> Iterator[tuple[int, float, float]]:
        """Step, time and value of the points that are the first of a log in a cell."""
        grids = tuple(zip(self._grids, entered, strict=True))
        for place, step in enumerate(chunk.steps.tolist()):
            is_first = False
            for grid, cells in grids if step >= 0 else ():
                cell = grid(step)
                if cell not in cells:
                    cells.add(cell)
                    is_first = True
            if is_first:
                yield step, float(chunk.times[place]), float(chunk.values[place])


def _every(interval: int, warmup: int) -> Grid:
    """So many steps a cell from `warmup` on, the cells in turn thinned as steps are."""

    def cell(step: int) -> int:
        return rung_of((step - warmup) // interval + 1) if step >= warmup else 0

    return cell


def _powers(least: int, factor: int) -> Grid:
    """A cell from each least * factor**k to the next."""

    def cell(step: int) -> int:
        reached, k = least, 0
        while reached <= step:
            reached, k = reached * factor, k + 1
        return k

    return cell
