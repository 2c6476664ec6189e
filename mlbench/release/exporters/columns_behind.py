"""The columns behind a pipeline's features: which one each feature is made of, and how."""

from __future__ import annotations

from typing import Any

from framework import is_frame
from refusal import require
from rows import kind_of

_GRID = 33


class Table:
    """Rows of which columns of numbers can be set, and what the first steps make of them."""

    def __init__(self, before: Any, X: Any, *, double: bool = False) -> None:
        """`before` is the fitted pipeline of the steps before the trees.

        Numbers and features are float32, or float64 where the graph takes that.
        """
        np = require("numpy")
        self.kind = np.float64 if double else np.float32
        self._before, self._X = before, X
        if is_frame(X):
            self.columns = [
                index for index, name in enumerate(X.columns) if kind_of(X[name]) == "number"
            ]
            numbers = X.iloc[:, self.columns].to_numpy(dtype=self.kind)
        else:
            self.columns = list(range(X.shape[1]))
            numbers = X.astype(self.kind)
        self.numbers = numbers

    def made(self, rows: Any, column: Any, values: Any) -> Any:
        """These rows with one column of numbers set, one value a row; both n or for all."""
        np = require("numpy")
        numbers = self.numbers[rows]
        numbers[np.arange(len(numbers)), column] = values
        if not is_frame(self._X):
            return numbers
        frame = self._X.iloc[rows].reset_index(drop=True)
        for place, index in enumerate(self.columns):
            frame[frame.columns[index]] = numbers[:, place]
        return frame

    def features(self, X: Any) -> Any:
        """What the trees see."""
        np = require("numpy")
        made = self._before.transform(X)
        dense = made.toarray() if hasattr(made, "toarray") else made
        return np.asarray(dense, dtype=self.kind)


def sources_of(np: Any, table: Table) -> Any:
    """For each feature the one column of numbers that it rises or falls with, else -1."""
    some = np.arange(min(8, len(table.numbers)))
    width = table.features(table.made(some, 0, table.numbers[some, 0])).shape[1]
    source, taken = np.full(width, -1), np.zeros(width, int)
    for column in range(len(table.columns)):
        low, high = value_range(np, table.numbers[:, column])
        grid = np.linspace(low, high, _GRID, dtype=table.kind)
        seen = table.features(table.made(np.zeros(_GRID, int), column, grid))
        moved = np.diff(seen.astype(np.float64), axis=0)
        touched = (moved != 0).any(axis=0)
        monotone = (moved >= 0).all(axis=0) | (moved <= 0).all(axis=0)
        taken += touched
        source[touched & monotone] = column
    return np.where(taken == 1, source, -1)


def value_range(np: Any, values: Any) -> tuple[float, float]:
    """The least and the largest number of a column, (0, 1) where it has none."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def slopes_of(np: Any, table: Table, sources: Any) -> Any:
    """How far rounding a column by one part moves each feature: slope times largest value."""
    moved = np.zeros(len(sources))
    for column in set(sources[sources >= 0].tolist()):
        low, high = value_range(np, table.numbers[:, column])
        ends = table.features(table.made(np.zeros(2, int), column, np.array([low, high])))
        slope = np.abs(np.diff(ends.astype(np.float64), axis=0)[0]) / (high - low)
        mine = sources == column
        moved[mine] = slope[mine] * max(abs(low), abs(high))
    return moved
