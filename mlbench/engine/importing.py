"""Bringing runs in from another tracker."""

from __future__ import annotations

import time

from mlbench.domain.imports import ImportReport
from mlbench.engine.session import prepare_folder
from mlbench.project.layout import Layout
from mlbench.system.files import writable
from mlbench.system.locks import locked


def import_mlflow(
    layout: Layout, place: str, *, deleted: bool = False, artifacts: bool = True
) -> ImportReport:
    """Bring in the runs of an MLflow folder or SQLite database that aren't here yet.

    `deleted` takes those that were deleted there too; without `artifacts` they stay where they are.
    UsageError where the place holds no runs, FolderNotWritableError where the project's can't be
    written.
    """
    # Late: nobody else reads what MLflow keeps.
    from mlbench.tracking.mlflow_import import MlflowImport, Wanted, open_source
    from mlbench.tracking.store import ExperimentStore

    source = open_source(place)
    with writable(layout.root):
        prepare_folder(layout)
        # Two at once would each take the other's half of a run for a killed one's.
        with locked(layout.shared / "import.lock"):
            wanted = Wanted(time.time(), deleted=deleted, artifacts=artifacts)
            return MlflowImport(layout, ExperimentStore(layout)).take_in(source, wanted)
