"""Scripts outside of any stage, and the runs that they left."""

from __future__ import annotations

from pathlib import Path

from mlbench.domain.runs import Run
from mlbench.tracking.scripts import read_script_run

# What describes the code beside a script is tested where it is read; here it would only cost time.
ALONE = """
import mlbench, mlbench.inside.background
mlbench.inside.background.describe_in_background = lambda *words: None
"""


def runs_in(project: Path) -> list[Run]:
    """Every run that lies in a project's folder, in the order of their beginning."""
    runs = [read_script_run(folder) for folder in (project / ".mlbench" / "runs").glob("*")]
    return sorted((run for run in runs if run is not None), key=lambda run: run.id)


def the_run(project: Path) -> Run:
    (run,) = runs_in(project)
    return run
