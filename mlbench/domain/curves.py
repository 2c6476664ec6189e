"""What a stage logged by step, as few numbers: a curve to draw, and a summary to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from mlbench.domain.records import dataclass
from mlbench.domain.runs import Extremes

Points = Mapping[str, Sequence[tuple[int, float]]]
"""Steps and values under each metric's name, in any order."""

Column = tuple[float, float, float]
"""The lowest, the highest and the mean value of some steps; NaN where they have no finite one."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric that was logged by step; `last` is the value of the highest step, maybe NaN.

    Of several values at the highest step the latest counts.
    """

    count: int
    first_step: int
    last_step: int
    last: float
    extremes: Extremes


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric over the steps of a window, small enough to be drawn anew at every tick.

    The first column is for the window's `first_step`, the last for its `last_step`, and those
    between divide it evenly; None stands where nothing was logged. `last`, `low` and `high` are
    those of the whole series, `low_step` and `high_step` where it took them first.
    """

    name: str
    first_step: int
    last_step: int
    last: float
    low: float
    low_step: int
    high: float
    high_step: int
    columns: tuple[Column | None, ...]


class CurveSource(Protocol):
    """Gives the curves of one stage's folder, again and again as they grow."""

    def summaries(self) -> Mapping[str, Summary]:
        """Each metric as of now, in the order in which the names were first seen."""
        ...

    def curves(
        self,
        width: int,
        *,
        names: Iterable[str] | None = None,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> tuple[Curve, ...]:
        """The metrics in `width` columns over the window, by default each over all its steps."""
        ...
