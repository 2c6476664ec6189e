"""A coarse map of an objective over two parameters, from the trials that there are: pure."""

from __future__ import annotations

from collections.abc import Iterable

from mlbench.domain.study_analysis import PlacedTrial

# Trials this near to each other are one: the map is coarse, and cost grows with what is on it.
_CELLS = 12
_POWER = 4
_NEAR = 1e-9

Spot = tuple[float, float, float]
"""A place on either axis, and the value there."""


def contour_grid(
    trials: Iterable[PlacedTrial], columns: int, rows: int
) -> tuple[tuple[float, ...], ...]:
    """The value at so many places on either axis, `rows` of `columns`; nothing without trials.

    The first row is for the lowest place on the second axis. Between trials it is the mean of all
    weighted by the inverse distance to the fourth power (Shepard 1968), so never beyond the least
    and the greatest value.
    """
    spots = _merged(trials)
    if not spots:
        return ()
    across = [_place(column, columns) for column in range(columns)]
    upward = [_place(row, rows) for row in range(rows)]
    return tuple(tuple(_value_at(spots, x, y) for x in across) for y in upward)


def _value_at(spots: list[Spot], x: float, y: float) -> float:
    total = weights = 0.0
    for across, up, value in spots:
        distance = (across - x) ** 2 + (up - y) ** 2
        if distance < _NEAR:
            return value
        weight = distance ** (-_POWER / 2)
        total += weight * value
        weights += weight
    return total / weights


def _merged(trials: Iterable[PlacedTrial]) -> list[Spot]:
    """Trials of one cell by their means."""
    cells: dict[tuple[int, int], list[Spot]] = {}
    for trial in trials:
        x, y = trial.places[:2]
        if x is not None and y is not None:
            cell = (int(x * _CELLS), int(y * _CELLS))
            cells.setdefault(cell, []).append((x, y, trial.value))
    return [
        (_mean(spot[0] for spot in cell), _mean(spot[1] for spot in cell),
         _mean(spot[2] for spot in cell))
        for cell in cells.values()
    ]  # fmt: skip


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)


def _place(index: int, count: int) -> float:
    return index / (count - 1) if count > 1 else 0.5
