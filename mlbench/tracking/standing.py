"""The newest run of a state, looked up where it mostly is: in the newest folders of runs.

Whoever finds nothing to do needs no more of the record, and opening the index takes longer than all
the rest of that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run
from mlbench.project.layout import Layout
from mlbench.tracking.folder import read_run

# So many failed or went on from another state since.
_LOOKED_AT = 3
# A longer folder, of some ten thousand runs, takes longer to list than the index to open.
_LONGEST_FOLDER = 1 << 19


def lately_standing(layout: Layout, state: Mapping[str, str | None]) -> Run | None:
    """What `ExperimentStore.standing` gives where it is one of the last few runs, else None."""
    try:
        if os.stat(layout.runs).st_size > _LONGEST_FOLDER:
            return None
        names = os.listdir(layout.runs)
    except OSError:
        return None
    for name in sorted(names, reverse=True)[:_LOOKED_AT]:
        run = read_run(layout.run_folder(name))
        # A folder under another name is somebody's copy.
        is_passed = run is not None and run.id == name and run.outcome is RunOutcome.PASSED
        if run is not None and is_passed and run.state == state and not run.study:
            return run
    return None
