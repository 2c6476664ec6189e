"""Deleted runs, which lie aside for a while so that a deletion can be taken back."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mlbench.project.layout import Layout
from mlbench.system.files import entries_in, move, remove

_STAGES = "stages"
# In what has to stay of a run's folder: that there is no record in it is what somebody wanted.
_DELETED = "deleted"


class Trash:
    """The folder of one project's deleted runs, one folder a run."""

    def __init__(self, layout: Layout) -> None:
        """Use the project's; it is made with the first deletion."""
        self._layout = layout

    def beside(self, run: str) -> Path:
        """Where what else belongs to a deleted run lies."""
        return self._layout.trash / run / "with"

    def put(self, run: str, keep: Collection[str]) -> None:
        """Set a run's folder aside, without the folders of stages that other runs stand on."""
        source, target = self._layout.run_folder(run), self._layout.trash / run / "run"
        kept = {self._layout.stage_folder(run, stage).name for stage in keep}
        stages = source / _STAGES
        for path in entries_in(stages):
            if path.name not in kept:
                move(path, target / _STAGES / path.name)
        for path in entries_in(source):
            if path != stages:
                move(path, target / path.name)
        for folder in (stages, source):
            if folder.is_dir() and not entries_in(folder):
                folder.rmdir()
        if source.is_dir():
            (source / _DELETED).touch()

    def has_deleted(self, run: str) -> bool:
        """Whether this run was deleted, and not brought back."""
        deleted = self._layout.run_folder(run) / _DELETED
        return deleted.exists() or (self._layout.trash / run).is_dir()

    def bring_back(self, run: str) -> bool:
        """Put a run's folder where it was; False where it is not here any more."""
        source, target = self._layout.trash / run / "run", self._layout.run_folder(run)
        if not source.is_dir():
            return False
        for path in entries_in(source / _STAGES):
            move(path, target / _STAGES / path.name)
        # The record comes last: with it the run is there again.
        for path in sorted(entries_in(source), key=lambda path: path.name == "run.json"):
            if path.name != _STAGES:
                move(path, target / path.name)
        (target / _DELETED).unlink(missing_ok=True)
        return True

    def empty(self, run: str) -> None:
        """Forget what is left of a deleted run here."""
        remove(self._layout.trash / run)
