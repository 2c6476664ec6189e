"""The step logs of a stage's folder as whole series and as single curves, for tests to compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.curves import Curve
from mlbench.tracking.columns import Floats, Ints
from mlbench.tracking.curves import CurveReader
from mlbench.tracking.growing import Growing
from mlbench.tracking.steps import StepReader


@dataclass(frozen=True)
class Series:
    """One metric's points in the order of their steps, and its extremes."""

    steps: Ints
    values: Floats
    min: float
    min_step: int
    max: float
    max_step: int
    last: float


def series_of(reader: StepReader) -> dict[str, Series]:
    """Each metric as a reader finds it now, in the order in which the names were first seen."""
    return {name: _series(growing) for name, growing in reader.gather().items()}


def series_in(stage_folder: Path) -> dict[str, Series]:
    """Each metric as a new reader finds it."""
    return series_of(StepReader(stage_folder))


def curve_in(
    stage_folder: Path,
    name: str,
    width: int,
    first_step: int | None = None,
    last_step: int | None = None,
) -> Curve:
    """One metric as a new reader draws it."""
    reader = CurveReader(stage_folder)
    (curve,) = reader.curves(width, names=(name,), first_step=first_step, last_step=last_step)
    return curve


def _series(growing: Growing) -> Series:
    steps, values = growing.columns()
    summary = growing.summary()
    extremes = summary.extremes
    return Series(
        steps,
        values,
        extremes.min,
        extremes.min_step,
        extremes.max,
        extremes.max_step,
        summary.last,
    )
