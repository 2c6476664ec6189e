"""Trials as signs on the axes of a plot; pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlbench.cli.sweep_plot import BEST, BEYOND, BROKEN, GOOD, Mark, plain, plot_lines, scale_of
from mlbench.domain.study_axes import Axis, value_text
from mlbench.domain.sweeps import MINIMIZE

Lines = list[str]


def mark_of(x: float, value: float, axis: Axis, is_best: bool, is_feasible: bool) -> Mark:
    """A trial's sign at a value of the upright axis; beyond the axis at its edge."""
    place = axis.place(value)
    if place is None:
        return Mark(x, 0.0 if value < axis.low else 1.0, BEYOND)
    return Mark(x, place, BEST if is_best else GOOD if is_feasible else BROKEN)


def framed(
    marks: Sequence[Mark], axis: Axis, width: int, rows: int, x_ends: tuple[str, str]
) -> Lines:
    """A plot with the ends of its upright axis at the left."""
    ends = (end_text(axis, 0), end_text(axis, 1))
    return plot_lines(marks, width, rows, y_ends=ends, x_ends=x_ends)


def end_text(axis: Axis, place: float) -> str:
    """What stands at one end of an axis, 0 or 1."""
    return plain(value_text(axis.at(place)))


def scaled(axis: Axis, values: Sequence[float], direction: str) -> Axis:
    """The axis without the worst values, where these leave no room for the rest."""
    return scale_of(axis, values, is_less_better=direction == MINIMIZE)
