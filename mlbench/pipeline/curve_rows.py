"""Rows of CSV, TSV, JSON and YAML files as points by step, with the meaning that DVC gives them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlbench.domain.errors import nearest
from mlbench.domain.stages import Plot

Row = Mapping[str, Any]
Point = tuple[int, float]

DELIMITERS = {".csv": ",", ".tsv": "\t"}
TREES = frozenset({".json", ".yaml", ".yml"})
_BY_STEP = frozenset({"", "linear", "simple", "smooth", "scatter"})
_STEP_COLUMN = "step"
_LARGEST_STEP = 2**63


class NotByStepError(Exception):
    """The rows are no curves by step; says why where something was declared that isn't there."""


class RowsToPoints:
    """Turns the rows of one file into points, some at a time.

    A row without a step, or without a number in a column, has no point there.
    """

    def __init__(self, plot: Plot) -> None:
        """By what the stage declares of the file."""
        self._plot = plot
        self._axes: tuple[str | None, tuple[str, ...]] | None = None
        self._count = 0

    def points(self, rows: Iterable[Row]) -> dict[str, list[Point]]:
        """The points of further rows by column; NotByStepError where they are something else."""
        found: dict[str, list[Point]] = {}
        for row in rows:
            if self._axes is None:
                self._axes = _axes(self._plot, list(row))
            x, ys = self._axes
            if x is not None and row.get(x) in (None, ""):
                continue
            step = self._count if x is None else _step(row.get(x))
            self._count += 1
            if step is None:
                raise NotByStepError
            for y in ys:
                value = _value(row.get(y))
                if value is not None:
                    found.setdefault(y, []).append((step, value))
        return found


def rows_of_lines(lines: Iterable[str], delimiter: str, names: Sequence[str]) -> Iterator[Row]:
    """The rows of a table's lines, by the names of its columns."""
    for cells in csv.reader(lines, delimiter=delimiter):
        if cells:
            yield dict(zip(names, cells, strict=False))


def header_of(line: str, delimiter: str, *, is_header: bool) -> list[str]:
    """The names of the columns: what the first line says, or else their numbers from 0."""
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return [cell.strip() for cell in cells] if is_header else [str(n) for n in range(len(cells))]


def rows_of_tree(tree: Any) -> list[Row]:
    """The first list of mappings in a JSON or YAML value, as DVC finds it; none where none is."""
    if isinstance(tree, list):
        return tree if tree and all(isinstance(item, dict) for item in tree) else []
    for value in tree.values() if isinstance(tree, dict) else ():
        rows = rows_of_tree(value)
        if rows:
            return rows
    return []


def _axes(plot: Plot, columns: list[str]) -> tuple[str | None, tuple[str, ...]]:
    """The column of the steps, None where rows are counted, and those of the values."""
    if plot.template not in _BY_STEP:
        raise NotByStepError
    for wanted in (plot.x, *plot.y):
        if wanted and wanted not in columns:
            has = ", ".join(columns) or "none"
            hint = nearest(wanted, columns)
            raise NotByStepError(f'has no column "{wanted}"{hint}; its columns: {has}')
    x = plot.x or (_STEP_COLUMN if _STEP_COLUMN in columns else None)
    return x, plot.y or tuple(columns[-1:])


def _step(cell: Any) -> int | None:
    """A whole number within 64 bits, however it is written; None for anything else."""
    step: float | None
    try:
        # Not by way of a float, which has no room for the largest of them.
        step = int(cell) if isinstance(cell, (str, int)) else float(cell)
    except (TypeError, ValueError):
        step = _value(cell)
    if step is None or not -_LARGEST_STEP <= step < _LARGEST_STEP or int(step) != step:
        return None
    return int(step)


def _value(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return None
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
