"""What samplers that try everything need to know: all the values of each dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from mlbench.domain.errors import SweepError
from mlbench.domain.sweeps import Dimension
from mlbench.sweeps.space import as_choice

# GridSampler keeps each combination in memory.
_MOST = 1_000_000
Value = float | int | str | bool | None


def grid(dimensions: Sequence[Dimension]) -> dict[str, list[Value]]:
    """Every value of each dimension as Optuna is told it, by name.

    SweepError where a range has no end of them, or there are too many combinations.
    """
    counts = [count(dimension) for dimension in dimensions]
    if math.prod(counts) > _MOST:
        raise SweepError(
            f"the space has {math.prod(counts):,} combinations, too many for GridSampler "
            f"(at most {_MOST:,}); take larger steps, or another sampler"
        )
    return {dimension.name: _values(dimension) for dimension in dimensions}


def count(dimension: Dimension) -> int:
    """How many values a dimension has; SweepError where there is no end of them."""
    numbers = dimension.range
    if numbers is None:
        return len(dimension.choices)
    low, high, step = _decimals(dimension)
    return int((high - low) / step) + 1


def _values(dimension: Dimension) -> list[Value]:
    numbers = dimension.range
    if numbers is None:
        return [as_choice(choice) for choice in dimension.choices]
    low, _, step = _decimals(dimension)
    values = (low + index * step for index in range(count(dimension)))
    return [int(value) if numbers.is_whole else float(value) for value in values]


def _decimals(dimension: Dimension) -> tuple[Decimal, Decimal, Decimal]:
    # As the decimal numbers that people wrote: 0.1 a thousand times over is 100 then.
    numbers = dimension.range
    assert numbers is not None
    step = numbers.step or (1 if numbers.is_whole else None)
    if step is None:
        raise SweepError(
            f"{dimension.name}: a sampler that tries every value needs a step there, "
            "as in { low = 0.0, high = 1.0, step = 0.1 }"
        )
    return Decimal(str(numbers.low)), Decimal(str(numbers.high)), Decimal(str(step))
