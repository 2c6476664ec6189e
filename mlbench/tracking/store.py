"""The experiment store: all runs in TinyDB, rebuilt from their folders where it is damaged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tinydb import TinyDB, where
from tinydb.table import Document

from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.runs import Run
from mlbench.project.layout import Layout
from mlbench.system.files import move
from mlbench.system.locks import locked
from mlbench.tracking.folder import RUN_NAME, read_run
from mlbench.tracking.storage import AtomicJsonStorage

_TABLE = "runs"


class ExperimentStore:
    """Runs by id; a damaged file is moved aside, said in `notices`, and rebuilt from runs/."""

    def __init__(self, layout: Layout) -> None:
        """Open the index of a project; nothing is written unless it has to be rebuilt."""
        self._layout = layout
        self._path = layout.experiments
        self._lock_path = layout.experiments.with_name("experiments.lock")
        self.notices: list[str] = []
        try:
            is_missing = AtomicJsonStorage(self._path).read() is None
        except ValueError:
            self._rebuild_damaged()
        else:
            if is_missing and any(layout.runs.glob(f"*/{RUN_NAME}")):
                self._say_rebuilt("was missing")

    def add(self, run: Run) -> None:
        """Insert a run, or replace the one of the same id."""
        with locked(self._lock_path), self._open() as database:
            database.table(_TABLE).upsert(dict(_document(run)), where("id") == run.id)

    def runs(self) -> list[Run]:
        """Every recorded run, oldest first."""
        return sorted(
            (_run(document) for document in self._tables().get(_TABLE, {}).values()),
            key=lambda run: (run.started, run.id),
        )

    def get(self, run_id: str) -> Run | None:
        """The whole run of this id, with its stages' details where its folder still has them."""
        whole = read_run(self._layout.run_folder(run_id))
        if whole is not None:
            return whole
        return next((run for run in self.runs() if run.id == run_id), None)

    def standing(self, state: Mapping[str, str | None]) -> Run | None:
        """The newest passed run of exactly this tuple of fingerprints, whole."""
        for run in reversed(self.runs()):
            if run.outcome is RunOutcome.PASSED and run.state == state:
                return self.get(run.id)
        return None

    def rebuild(self) -> int:
        """Make the index anew from the run folders; gives how many runs it holds then."""
        folders = sorted(self._layout.runs.iterdir()) if self._layout.runs.is_dir() else []
        runs = [run for run in map(read_run, folders) if run is not None]
        with locked(self._lock_path), self._open() as database:
            database.drop_table(_TABLE)
            database.table(_TABLE).insert_multiple(
                Document(dict(_document(run)), doc_id=number)
                for number, run in enumerate(runs, start=1)
                if run.outcome is not None
            )
        return len(runs)

    def _rebuild_damaged(self) -> None:
        aside = self._path.with_name(f"experiments.damaged-{time.strftime('%Y%m%d-%H%M%S')}.json")
        move(self._path, aside)
        self._say_rebuilt(f"was damaged; moved aside to .mlbench/{aside.name}")

    def _say_rebuilt(self, why: str) -> None:
        self.notices.append(
            f".mlbench/{self._path.name}: {why} and rebuilt with {self.rebuild()} runs "
            "from .mlbench/runs"
        )

    def _open(self) -> TinyDB:
        return TinyDB(self._path, storage=AtomicJsonStorage)

    def _tables(self) -> dict[str, dict[str, Any]]:
        return AtomicJsonStorage(self._path).read() or {}


def _document(run: Run) -> Mapping[str, Any]:
    """What the index holds of a run: enough for a table of runs, about a kilobyte."""
    plain = to_plain(run)
    for stage in plain["stages"].values():
        del stage["outs"], stage["metrics"]
    return dict(plain)


def _run(document: Mapping[str, Any]) -> Run:
    return from_plain(Run, document)
