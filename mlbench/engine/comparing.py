"""The question "why did B beat A": all that is on record of runs, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from mlbench.domain.comparison import Comparison
from mlbench.domain.errors import UsageError
from mlbench.domain.runs import Run
from mlbench.engine.queries import Queries
from mlbench.project.code_diff import CodeUnknownError, CodeVersion, diff_between
from mlbench.tracking.compare import Side, compare
from mlbench.tracking.folder import DIFF_NAME
from mlbench.tracking.noise import newest_equal_runs, noise_of


def compare_runs(queries: Queries, names: Sequence[str]) -> Comparison:
    """Two and more runs by any name; UsageError where they are fewer or one is unknown."""
    runs = tuple(queries.run(name) for name in names)
    if len(runs) < 2:
        raise UsageError("one run alone has nothing to be compared with; name another")
    sides = [Side(run, queries.environment_of(run)) for run in runs]
    noise = noise_of(newest_equal_runs(queries.store().newest()))
    code, remarks = _code(queries, runs)
    return Comparison(runs, compare(sides, noise), code, remarks)


def _code(queries: Queries, runs: Sequence[Run]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The diff from the first run's code to each other's, and why one can't be told."""
    versions = {
        run.id: CodeVersion(run.code.commit, queries.run_folder(run) / DIFF_NAME) for run in runs
    }
    code: dict[str, str] = {}
    remarks: list[str] = []
    for run in runs[1:]:
        try:
            code[run.id] = diff_between(queries.root, versions[runs[0].id], versions[run.id])
        except CodeUnknownError as error:
            remarks.append(f"{runs[0].name} and {run.name}: {error}")
    return code, tuple(remarks)
