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
# What reading a file raises that is no JSON, or JSON of another shape.
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)


class ExperimentStore:
    """Runs by id; a damaged file is moved aside, said in `notices`, and rebuilt from runs/."""

    def __init__(self, layout: Layout) -> None:
        """Open the index of a project; nothing is written unless it has to be rebuilt."""
        self._layout = layout
        self._path = layout.experiments
        self._lock_path = layout.experiments.with_name("experiments.lock")
        self.notices: list[str] = []
        self.runs()
        if self._is_lost():
            with locked(self._lock_path):
                if self._is_lost():
                    self._say_rebuilt("was missing")

    def add(self, run: Run) -> None:
        """Insert a run, or replace the one of the same id."""
        with locked(self._lock_path):
            try:
                self._insert(run)
            except _DAMAGE:
                self._rebuild_damaged()
                self._insert(run)

    def remove(self, run_id: str) -> None:
        """Take a run out of the index; its folder is another's matter."""
        with locked(self._lock_path), self._open() as database:
            database.table(_TABLE).remove(where("id") == run_id)

    def runs(self) -> list[Run]:
        """Every recorded run, oldest first."""
        try:
            return self._read()
        except _DAMAGE:
            with locked(self._lock_path):
                # Whoever held the lock before may have found the same damage.
                try:
                    return self._read()
                except _DAMAGE:
                    self._rebuild_damaged()
                    return self._read()

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
        with locked(self._lock_path):
            return self._rebuild()

    def _read(self) -> list[Run]:
        documents = (AtomicJsonStorage(self._path).read() or {}).get(_TABLE, {}).values()
        return sorted(map(_run, documents), key=lambda run: (run.started, run.id))

    def _insert(self, run: Run) -> None:
        with self._open() as database:
            database.table(_TABLE).upsert(dict(_document(run)), where("id") == run.id)

    def _rebuild(self) -> int:
        """As `rebuild`, under the lock already: a folder read before it might miss an `add`."""
        folders = sorted(self._layout.runs.iterdir()) if self._layout.runs.is_dir() else []
        found = [(folder.name, read_run(folder)) for folder in folders]
        # A folder under another name is somebody's copy.
        runs = [run for name, run in found if run and run.id == name and run.outcome]
        with self._open() as database:
            database.drop_table(_TABLE)
            database.table(_TABLE).insert_multiple(
                Document(dict(_document(run)), doc_id=number)
                for number, run in enumerate(runs, start=1)
            )
        return len(runs)

    def _is_lost(self) -> bool:
        return not self._path.exists() and any(self._layout.runs.glob(f"*/{RUN_NAME}"))

    def _rebuild_damaged(self) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (f"experiments.damaged-{stamp}{more}.json" for more in ("", *range(-2, -99, -1)))
        aside = next(path for name in names if not (path := self._path.with_name(name)).exists())
        move(self._path, aside)
        self._say_rebuilt(f"was damaged; moved aside to .mlbench/{aside.name}")

    def _say_rebuilt(self, why: str) -> None:
        self.notices.append(
            f".mlbench/{self._path.name}: {why} and rebuilt with {self._rebuild()} runs "
            "from .mlbench/runs"
        )

    def _open(self) -> TinyDB:
        return TinyDB(self._path, storage=AtomicJsonStorage)


def _document(run: Run) -> Mapping[str, Any]:
    """What the index holds of a run: enough for a table of runs, about a kilobyte."""
    plain = to_plain(run)
    for stage in plain["stages"].values():
        del stage["outs"], stage["metrics"]
    return dict(plain)


def _run(document: Mapping[str, Any]) -> Run:
    return from_plain(Run, document)
