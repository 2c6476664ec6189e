"""Runs side by side: what differs between them, and whether a metric moved more than by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run, Scalar

PARAMS, METRICS, CODE, DATA = "params", "metrics", "code", "data"
PACKAGES, ENVIRONMENT, STAGES = "packages", "environment", "stages"
KINDS = (PARAMS, METRICS, CODE, DATA, PACKAGES, ENVIRONMENT, STAGES)

# Two-sided 95% quantiles of Student's t distribution for 1 to 30 degrees of freedom.
_T_95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Noise:
    """How a metric scatters among runs that were equal: its pooled standard deviation.

    `degrees` is how many degrees of freedom that rests on: runs less groups of equal ones.
    """

    deviation: float
    degrees: int

    @property
    def least_change(self) -> float:
        """The change between two single runs that chance exceeds once in twenty times.

        Student's t quantile times the standard deviation of a difference, deviation · √2.
        """
        return self.quantile * self.deviation * math.sqrt(2)

    @property
    def quantile(self) -> float:
        """How many standard deviations chance exceeds once in twenty times, either way.

        Of many degrees the expansion around the normal quantile, Abramowitz and Stegun 26.7.5.
        """
        if self.degrees <= len(_T_95):
            return _T_95[self.degrees - 1]
        z = _NORMAL_95
        first = (z**3 + z) / 4
        second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
        return z + first / self.degrees + second / self.degrees**2


@dataclass(frozen=True, slots=True)
class Repeats:
    """A metric of one run beside its `mean` over that run and all `count` - 1 equal to it."""

    value: float
    mean: float
    count: int


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One thing that the runs have, with its value in each; None where a run has none.

    `change` of a metric is the last run's value less the first's, where both are numbers.
    """

    kind: str
    name: str
    values: tuple[Scalar, ...]
    change: float | None = None
    noise: Noise | None = None

    @property
    def differs(self) -> bool:
        """Whether the runs do not all have the same value."""
        return any(not _same(self.values[0], value) for value in self.values[1:])

    @property
    def is_beyond_noise(self) -> bool | None:
        """Whether the metric changed more than by chance; None where nobody can tell."""
        if self.change is None or self.noise is None:
            return None
        return abs(self.change) > self.noise.least_change


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side, in the order they were named.

    In `rows` what differs comes first within its kind. `code` maps each run but the first to the
    unified diff that leads to it from the first; `remarks` say what could not be compared.
    """

    runs: tuple[Run, ...]
    rows: tuple[ComparedRow, ...]
    code: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[ComparedRow, ...]:
        """The rows in which the runs differ."""
        return tuple(row for row in self.rows if row.differs)


def _same(one: Scalar, other: Scalar) -> bool:
    """Whether two values are the same: 1 and 1.0 are, 1 and True are not, NaN and NaN are."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    both_nan = one != one and other != other  # noqa: PLR0124 - that is what NaN is
    return one == other or both_nan
