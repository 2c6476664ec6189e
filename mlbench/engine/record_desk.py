"""What people do to the record: notes, tags, stars, the baseline, archiving, deleting, undoing.

Any process may, whether or not a loop is held: the desk's lock lets one change at a time through,
and each change is written down first, so that it can be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.errors import UsageError
from mlbench.domain.runs import Marks, Run
from mlbench.engine.deletion import delete_files, refuse_to_delete, with_nested
from mlbench.engine.queries import Queries
from mlbench.project.config import find_project
from mlbench.project.layout import Layout
from mlbench.release.registry import Registry
from mlbench.system.files import writable
from mlbench.system.locks import locked
from mlbench.tracking.folder import read_run, write_marks
from mlbench.tracking.trash import Trash
from mlbench.tracking.undo import Change, UndoLog, taken_back

_TAG = re.compile(r"[^\s=,]+(=[^\n]*)?")


class RecordDesk:
    """Changes marks of runs and deletes them; every change gives one sentence to show."""

    def __init__(self, layout: Layout) -> None:
        """Name the project; nothing is read yet."""
        self._layout = layout
        self._queries = Queries(layout)
        self._undo = UndoLog(layout)

    @classmethod
    def of(cls, folder: Path) -> RecordDesk:
        """The desk of the project that a folder belongs to; UsageError where there is none."""
        return cls(find_project(folder))

    def note(self, run: str, text: str) -> str:
        """Say something about a run, in place of what was said; nothing takes the note away."""
        with self._changing():
            found, text = self._queries.run(run), text.strip()
            said = f"noted {found.name}" if text else f"took the note of {found.name} away"
            return self._mark(said, [found], lambda marks: replace(marks, note=text))

    def tag(self, run: str, tags: Sequence[str], *, remove: bool = False) -> str:
        """Add tags, or take them away; a tag `key=value` takes the place of another value's."""
        for tag in tags:
            if not _TAG.fullmatch(tag):
                raise UsageError(f'"{tag}" is no tag; write a word, or key=value')
        with self._changing():
            found = self._queries.run(run)
            missing = [tag for tag in tags if remove and tag not in found.marks.tags]
            if missing:
                raise UsageError(f'{found.name} has no tag "{missing[0]}"')
            change = _without_tags if remove else _with_tags
            verb = "took from" if remove else "tagged"
            said = f"{verb} {found.name} {' '.join(tags)}"
            return self._mark(said, [found], lambda marks: change(marks, tags))

    def star(self, run: str, on: bool | None = None) -> str:
        """Star a run, or take its star away; without `on` the other of what is."""
        with self._changing():
            found = self._queries.run(run)
            wanted = not found.marks.star if on is None else on
            said = f"starred {found.name}" if wanted else f"took the star of {found.name} away"
            return self._mark(said, [found], lambda marks: replace(marks, star=wanted))

    def baseline(self, run: str, on: bool = True) -> str:
        """Make a run what others are compared with, in place of the one before; or no longer."""
        with self._changing():
            found = self._queries.run(run)
            now = utc() if on else ""
            before = self._baselines(but=found) if on else []
            said = f"{found.name} is {'now' if on else 'no longer'} the baseline"
            return self._mark(
                said,
                [found, *before],
                lambda marks: replace(marks, baseline_since=""),
                {found.id: replace(found.marks, baseline_since=now)},
            )

    def archive(self, runs: Sequence[str], on: bool = True) -> str:
        """Hide runs from the history without losing anything of them, or show them again."""
        with self._changing():
            found = [self._queries.run(run) for run in runs]
            said = f"{'archived' if on else 'took out of the archive'} {_named(found)}"
            return self._mark(said, found, lambda marks: replace(marks, archived=on))

    def delete(self, runs: Sequence[str]) -> str:
        """Take runs out of the record with what lies under them; `undo` brings them back.

        UsageError for a run that is still going, and for one that a model's version came from.
        """
        with self._changing():
            found = with_nested(
                [self._queries.run(run) for run in runs],
                self._queries.runs(where="run.parent != ''", everything=True),
            )
            refuse_to_delete(found, Registry(self._layout.models))
            said = f"deleted {_named(found)}"
            self._undo.add(Change(said, deleted=tuple(run.id for run in found)))
            delete_files(self._layout, found, self._queries)
            return f"{said}; `mlbench undo` brings {'it' if len(found) == 1 else 'them'} back"

    def undo(self) -> str:
        """Take the newest change back; UsageError where there is none."""
        with self._changing():
            changes = self._undo.changes()
            if not changes:
                raise UsageError("there is nothing to undo")
            change = changes[-1]
            self._bring_back(change.deleted)
            for run_id, before in change.before.items():
                run = self._queries.store().get(run_id)
                if run is not None:
                    self._write(run, taken_back(run.marks, before, change.after[run_id]))
            self._undo.drop_last()
            for run_id in change.deleted:
                Trash(self._layout).empty(run_id)
            return f"undone: {change.said}"

    def undoable(self) -> str | None:
        """What `undo` would take back, as a phrase; None where there is nothing."""
        changes = self._undo.changes()
        return changes[-1].said if changes else None

    def _bring_back(self, deleted: Iterable[str]) -> None:
        trash, registry = Trash(self._layout), Registry(self._layout.models)
        gone = [run_id for run_id in deleted if not (self._layout.trash / run_id).is_dir()]
        if gone:
            self._undo.drop_last()
            raise UsageError(f"{gone[0]} has been cleared from the trash and can't be brought back")
        for run_id in deleted:
            trash.bring_back(run_id)
            registry.put_back(trash.beside(run_id))
            run = read_run(self._layout.run_folder(run_id))
            if run is not None:
                self._queries.store().add(run)

    def _mark(
        self,
        said: str,
        runs: Sequence[Run],
        change: Callable[[Marks], Marks],
        special: dict[str, Marks] | None = None,
    ) -> str:
        """Change the marks of runs, those in `special` to what stands there; gives the sentence."""
        for run in runs:
            if run.outcome is None:
                raise UsageError(f"{run.name} is still going; mark it when it has ended")
        after = {run.id: (special or {}).get(run.id) or change(run.marks) for run in runs}
        moved = [run for run in runs if after[run.id] != run.marks]
        if moved:
            before = {run.id: run.marks for run in moved}
            self._undo.add(Change(said, before, {run.id: after[run.id] for run in moved}))
            for run in moved:
                self._write(run, after[run.id])
        return said

    def _write(self, run: Run, marks: Marks) -> None:
        folder = self._layout.run_folder(run.id)
        # Of a run whose folder is lost the index alone knows.
        if folder.is_dir():
            write_marks(folder, marks)
        self._queries.store().add(replace(run, marks=marks))

    def _baselines(self, *, but: Run) -> list[Run]:
        marked = self._queries.runs(where="run.baseline", everything=True).ids()
        return [self._queries.run(run) for run in marked if run != but.id]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with writable(self._layout.root), locked(self._layout.undo.with_name("undo.lock")):
            yield


def _with_tags(marks: Marks, tags: Sequence[str]) -> Marks:
    keys = {tag.partition("=")[0] for tag in tags}
    kept = [tag for tag in marks.tags if tag.partition("=")[0] not in keys]
    return replace(marks, tags=tuple(dict.fromkeys((*kept, *tags))))


def _without_tags(marks: Marks, tags: Sequence[str]) -> Marks:
    return replace(marks, tags=tuple(tag for tag in marks.tags if tag not in tags))


def _named(runs: Sequence[Run]) -> str:
    names = [run.name for run in runs]
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} runs"
