"""The experiment store: the index of all runs, made again from their folders where it is lost."""

from __future__ import annotations

import bisect
from collections.abc import Container, Iterator, Mapping
from heapq import merge
from pathlib import Path

from mlbench.domain.errors import MlbenchError
from mlbench.domain.runs import Run
from mlbench.project.layout import Layout
from mlbench.system.locks import locked
from mlbench.tracking.adoption import Unrecorded
from mlbench.tracking.folder import RUN_NAME, read_run
from mlbench.tracking.history import History
from mlbench.tracking.index import document_of, line_of, run_of, state_hash
from mlbench.tracking.lines import has_passed, id_of
from mlbench.tracking.run_table import RunTable

# The state stands behind the id, at the beginning of the line.
_STATE_WITHIN = 100
# A checkpoint of so many runs takes less than 10 ms.
_SHORT = 2000
# Of a file that is something else altogether every line is damaged.
_MOST_NOTICES = 6


class ExperimentStore:
    """Runs by id; what is damaged, was lost or had to be mended stands in `notices`."""

    def __init__(self, layout: Layout) -> None:
        """Open the index of a project; nothing is written unless it has to be rebuilt."""
        self._layout = layout
        self._lock_path = layout.experiments.with_name("record.lock")
        self._table = RunTable(layout.experiments)
        self._unrecorded = Unrecorded(layout)
        self._rebuilt: list[str] = []
        self._rebuild_if_lost()

    @property
    def notices(self) -> list[str]:
        """What a user should know of the index, a sentence each; of very many the first."""
        told = list(dict.fromkeys((*self._rebuilt, *self._table.damages)))
        if len(told) <= _MOST_NOTICES:
            return told
        more = f"{len(told) - _MOST_NOTICES + 1} more such places"
        return [*told[: _MOST_NOTICES - 1], f".mlbench/{self._layout.experiments.name}: {more}"]

    def add(self, *runs: Run) -> None:
        """Insert runs, each in place of the one of the same id.

        RecordNotWrittenError where the disk is full, FolderNotWritableError where it refuses.
        """
        with locked(self._lock_path):
            if self._is_lost(but=[run.id for run in runs]):
                self._rebuild_and_say()
            self._table.put(map(document_of, runs))

    def runs(self) -> History:
        """Every recorded run, and those of scripts that are still going, in the order of ids.

        Ids sort by time. Runs are decoded when they are touched.
        """
        going = self._take_in()
        self._rebuild_if_lost()
        lines = self._table.lines()
        if going:
            lines = list(lines)
            for run in going:
                bisect.insort(lines, line_of(run), key=id_of)
        return History(lines)

    def newest(self) -> Iterator[bytes]:
        """The lines of `runs`, the newest first, of which only what is asked for is read."""
        going = sorted(map(line_of, self._take_in()), key=id_of, reverse=True)
        self._rebuild_if_lost()
        lines = self._table.newest()
        return merge(lines, going, key=id_of, reverse=True) if going else lines

    def ids(self) -> frozenset[str]:
        """The id of every recorded run."""
        return frozenset(map(id_of, self._table.lines()))

    def get(self, run_id: str) -> Run | None:
        """The whole run of this id, with its stages' details where its folder still has them."""
        whole = read_run(self._layout.run_folder(run_id))
        if whole is not None:
            return whole
        line = self._table.line(run_id)
        if line is not None:
            return run_of(line)
        return next((run for run in self._unrecorded.runs() if run.id == run_id), None)

    def standing(self, state: Mapping[str, str | None]) -> Run | None:
        """The newest passed run of exactly this tuple of fingerprints, whole; no study's trial."""
        wanted = b'"state":"%s"' % state_hash(state).encode()
        for line in self._table.newest():
            if line.find(wanted, 0, _STATE_WITHIN) >= 0 and has_passed(line):
                run = self.get(id_of(line))
                if run is not None and run.state == state and not run.study:
                    return run
        return None

    def remove(self, run_id: str) -> None:
        """Take a run out of the index; what lies in its folder is not touched."""
        with locked(self._lock_path):
            self._table.remove(run_id)
            self._unrecorded.done(run_id)

    def rebuild(self) -> int:
        """Make the index anew from the run folders; gives how many runs it holds then.

        What the index alone knows, of runs that lost their folders, stays.
        """
        with locked(self._lock_path):
            return self._rebuild(strangers=True)

    def _rebuild(self, *, strangers: bool) -> int:
        """As `rebuild`, under the lock already: a folder read before it might miss an `add`.

        What is no run at all is taken out where `strangers` says so.
        """
        self._table.drop_others(strangers=strangers)
        known = set(self._table.lines())
        changed = (run for run in self._recorded() if line_of(run) not in known)
        self._table.put(map(document_of, changed))
        self._table.checkpoint()
        return len(self._table.lines())

    def _recorded(self) -> Iterator[Run]:
        """Every run that has ended, as its folder has it."""
        for folder in self._folders():
            run = read_run(folder)
            # A folder under another name is somebody's copy.
            if run is not None and run.id == folder.name and run.outcome is not None:
                yield run

    def _folders(self) -> list[Path]:
        runs = self._layout.runs
        return sorted(runs.iterdir()) if runs.is_dir() else []

    def checkpoint(self) -> None:
        """Bring a short history's file up to date, so that other programs see every run in it.

        That takes milliseconds. Of a long one it is done beside the work, as the journal grows.
        Errors as of `add`; the journal has everything all the same.
        """
        if self._table.count <= _SHORT:
            self._table.checkpoint()

    def check(self) -> list[str]:
        """Look at every byte of the index; gives `notices` as of then."""
        self._table.check()
        self._table.lines()
        return self.notices

    def _is_lost(self, but: Container[str] = ()) -> bool:
        """Whether the index is empty or doubtful, although there are records in folders."""
        if next(self._table.newest(), None) is not None and not self._table.is_doubtful():
            return False
        known = (folder for folder in self._folders() if folder.name not in but)
        return any((folder / RUN_NAME).exists() for folder in known)

    def _rebuild_if_lost(self) -> None:
        if not self._is_lost():
            return
        with locked(self._lock_path):
            # Whoever held the lock before may have found the same.
            if self._is_lost():
                self._rebuild_and_say()

    def _rebuild_and_say(self) -> None:
        count = self._rebuild(strangers=False)
        # The first run of all may only be on its way from its folder into the index.
        if count > 1:
            self._rebuilt.append(
                f".mlbench/{self._layout.experiments.name}: was lost; "
                f"rebuilt with {count} runs from .mlbench/runs"
            )

    def _take_in(self) -> list[Run]:
        """Record the runs of scripts that have ended; gives those that couldn't be, or live."""
        found = self._unrecorded.runs()
        ended = [run for run in found if run.outcome is not None]
        if not ended:
            return found
        try:
            with locked(self._lock_path):
                for run in ended:
                    if self._unrecorded.waits(run.id):
                        self._unrecorded.write(run)
                        self._table.put([document_of(run)])
                        self._unrecorded.done(run.id)
        except (OSError, MlbenchError):
            # Who can't write sees them all the same.
            return [run for run in found if self._table.line(run.id) is None]
        return [run for run in found if run.outcome is None]
