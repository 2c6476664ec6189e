"""Many points as few columns: the lowest, the highest and the mean value in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbench.domain.curves import Column

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BLOCK = 64
"""How many points the smallest stretch holds that is summed up ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Stretches of a series in order of their first steps, each by its finite values alone.

    Four arrays of one length; NaN where a stretch has no finite value. Single points are stretches
    too.
    """

    firsts: Ints
    lows: Floats
    highs: Floats
    means: Floats

    def __len__(self) -> int:
        """How many there are."""
        return len(self.firsts)

    def part(self, start: int, stop: int) -> Stretches:
        """Those from one index up to another."""
        part = slice(start, stop)
        return Stretches(self.firsts[part], self.lows[part], self.highs[part], self.means[part])

    def within(self, first_step: int, last_step: int) -> slice:
        """The indices of those that may hold a step from the one to the other, both included."""
        start = int(np.searchsorted(self.firsts, first_step, "left"))
        stop = int(np.searchsorted(self.firsts, last_step, "right"))
        # The one before begins earlier, but may reach into the window.
        return slice(max(start - 1, 0), stop)


def single_points(steps: Ints, values: Floats) -> Stretches:
    """Each point as a stretch of its own."""
    finite = np.where(np.isfinite(values), values, np.nan)
    return Stretches(steps, finite, finite, finite)


def summed_up(stretches: Stretches, size: int) -> Stretches:
    """Each `size` stretches as one; the last may be of fewer."""
    starts = np.arange(0, len(stretches), size)
    return _merged(stretches, starts) if len(starts) else stretches


def joined(parts: list[Stretches]) -> Stretches:
    """Stretches one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Stretches(
        np.concatenate([part.firsts for part in parts]),
        np.concatenate([part.lows for part in parts]),
        np.concatenate([part.highs for part in parts]),
        np.concatenate([part.means for part in parts]),
    )


def columns_of(
    stretches: Stretches, first_step: int, last_step: int, width: int
) -> tuple[Column | None, ...]:
    """`width` columns over the steps of a window, each stretch in the one of its first step."""
    columns: list[Column | None] = [None] * width
    if not len(stretches):
        return tuple(columns)
    places = _places(stretches.firsts, first_step, last_step, width)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(places)) + 1])
    merged = _merged(stretches, starts)
    found = zip(merged.lows.tolist(), merged.highs.tolist(), merged.means.tolist(), strict=True)
    for place, column in zip(places[starts].tolist(), found, strict=True):
        columns[place] = column
    return tuple(columns)


def _places(steps: Ints, first_step: int, last_step: int, width: int) -> Ints:
    """Which column each step belongs to; as floats, for the span may be beyond 64 bits."""
    span = float(last_step) - float(first_step)
    if span == 0.0:
        return np.zeros(len(steps), np.int64)
    shares = (steps.astype(np.float64) - float(first_step)) / span
    return np.clip(np.rint(shares * (width - 1)), 0, width - 1).astype(np.int64)


def _merged(stretches: Stretches, starts: Ints) -> Stretches:
    """The stretches from each start up to the next as one."""
    lows = np.fmin.reduceat(stretches.lows, starts)
    highs = np.fmax.reduceat(stretches.highs, starts)
    known = ~np.isnan(stretches.means)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    sizes = np.repeat(np.maximum(counts, 1), np.diff(np.append(starts, len(stretches))))
    # Divided before they are added: the sum of two finite values may overflow.
    shares = np.where(known, stretches.means, 0.0) / sizes
    means = np.where(counts > 0, np.add.reduceat(shares, starts), np.nan)
    # Rounding may lead outside by a hair.
    return Stretches(stretches.firsts[starts], lows, highs, np.clip(means, lows, highs))
