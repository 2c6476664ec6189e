"""Where two files part, and when two numbers count as the same."""

from __future__ import annotations

import math
from typing import NamedTuple

# Near zero, an error relative to itself says nothing.
NEAR_ZERO = 1e-6


class Place(NamedTuple):
    """A place in a file, with what stands there in the expected one and in the other."""

    where: str
    expected: str
    found: str


class NoValuesError(Exception):
    """A file has no values that could be compared, so its bytes decide; says why."""


def close(one: float, other: float, tolerance: float) -> bool:
    """Whether two numbers agree within a tolerance relative to the larger; NaN equals NaN."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance * NEAR_ZERO)
