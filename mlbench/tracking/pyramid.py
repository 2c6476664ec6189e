"""What a stage logged, in short: each metric's summary, from its pyramid where there is one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mlbench.domain.curves import Summary
from mlbench.inside.steplog import PREFIX, RECORD
from mlbench.tracking.pyramid_file import is_current, log_names, read_directory

WORTH = 100_000
"""Fewer points are read as quickly from the logs themselves."""


def summary_of(stage_folder: Path) -> dict[str, Summary]:
    """Each metric that a stage logged by step; from the pyramid where it is current."""
    if not log_names(stage_folder):
        return {}
    directory = read_directory(stage_folder)
    if directory is not None and is_current(stage_folder, directory):
        return {metric.name: metric.summary for metric in directory.metrics}
    # Late, as below: numpy costs more than all else that a command imports.
    from mlbench.tracking.steps import StepReader

    gathered = StepReader(stage_folder).gather()
    return {name: growing.summary() for name, growing in gathered.items()}


def last_values(stage_folder: Path) -> dict[str, float]:
    """The last value of each metric in a stage's folder: highest step, then latest time."""
    return {name: summary.last for name, summary in summary_of(stage_folder).items()}


def build_pyramid(stage_folder: Path) -> None:
    """Write the pyramid of a stage that has ended, unless it is there or wouldn't be worth it.

    Whatever keeps it from being written costs time later, and no more.
    """
    with contextlib.suppress(OSError):
        if not _is_worth_it(stage_folder):
            return
        directory = read_directory(stage_folder)
        if directory is not None and is_current(stage_folder, directory):
            return
        from mlbench.tracking.levels import write_pyramid
        from mlbench.tracking.steps import StepReader

        reader = StepReader(stage_folder)
        reader.gather()
        write_pyramid(stage_folder, reader)


def _is_worth_it(stage_folder: Path) -> bool:
    """Whether the logs may hold so much; a line of JSON is no shorter than a record."""
    sizes = [path.stat().st_size for path in stage_folder.glob(f"{PREFIX}*")]
    return sum(sizes) >= WORTH * RECORD.size
