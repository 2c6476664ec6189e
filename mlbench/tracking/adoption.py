"""Runs that scripts began by themselves, until a reader has taken them into the index."""

from __future__ import annotations

import os
from pathlib import Path

from mlbench.domain.plain import to_plain
from mlbench.domain.runs import Run
from mlbench.project.layout import Layout
from mlbench.system.files import write_json
from mlbench.system.locks import is_held
from mlbench.tracking.folder import RUN_NAME, read_run


class Unrecorded:
    """The runs of scripts that the index doesn't know yet."""

    def __init__(self, layout: Layout) -> None:
        """Name the project; nothing is read yet."""
        self._layout = layout

    def runs(self) -> list[Run]:
        """Each of them as it is now; `outcome` is None where its process lives."""
        names = self._names()
        return [run for name in names if (run := self._read(name)) is not None]

    def stamp(self) -> tuple[tuple[str, bool], ...]:
        """The id of each and whether its process lives, without reading any."""
        names = self._names()
        if not names:
            return ()
        from mlbench.inside.script import LOCK_NAME

        folder = self._layout.run_folder
        return tuple((name, is_held(folder(name) / LOCK_NAME)) for name in names)

    def write(self, run: Run) -> None:
        """Write the record of a run that has ended into its folder, if it isn't there."""
        from mlbench.tracking.scripts import complete

        record = self._layout.run_folder(run.id) / RUN_NAME
        if not record.exists():
            complete(record.parent)
            write_json(record, to_plain(run))

    def waits(self, run: str) -> bool:
        """Whether nobody has taken the run in meanwhile."""
        return self._marker(run).exists()

    def done(self, run: str) -> None:
        """Forget a run that is in the index now."""
        self._marker(run).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._layout.unrecorded))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _read(self, name: str) -> Run | None:
        # Late: few projects have scripts that record by themselves, and every command looks here.
        from mlbench.tracking.scripts import read_script_run

        folder = self._layout.run_folder(name)
        recorded = read_run(folder)
        run = recorded if recorded is not None else read_script_run(folder)
        # Under another name it is somebody's copy.
        return run if run is not None and run.id == name else None

    def _marker(self, run: str) -> Path:
        return self._layout.unrecorded / run
