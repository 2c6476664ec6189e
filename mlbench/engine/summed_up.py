"""What stages logged, and what became of one that a holder before saw run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlbench.domain.outcomes import StageOutcome
from mlbench.pipeline.job import BuildResult
from mlbench.pipeline.traces import Trace
from mlbench.system.processes import ending_in
from mlbench.tracking.pyramid import build_pyramid, last_values


def summed_up(folder: Path) -> dict[str, float]:
    """The last values that a stage logged, once nobody has to read all the others again."""
    build_pyramid(folder)
    return last_values(folder)


def as_it_ran(result: BuildResult, trace: Trace, folder: Path) -> BuildResult:
    """A result that is unchanged in the very run that made it: as that one ran."""
    ending = ending_in(folder)
    return replace(
        result,
        outcome=StageOutcome.RAN,
        seconds=trace.seconds,
        cpu_seconds=ending.cpu_seconds if ending is not None else None,
        peak_memory=ending.peak_memory if ending is not None else None,
    )
