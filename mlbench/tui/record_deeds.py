"""What the actions of screen 2 do: marks, deleting, restoring, exporting, copying, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.phrases import plural
from mlbench.domain.runs import Run
from mlbench.tui.opened import RestoreQuestion
from mlbench.tui.questions import DELETE, Choice, ask_delete
from mlbench.tui.release_deeds import copy
from mlbench.tui.situation import Situation, subjects
from mlbench.tui.widgets.columns_dialog import ColumnsDialog
from mlbench.tui.widgets.dialog import QuestionDialog
from mlbench.tui.widgets.picture_page import PicturePage
from mlbench.tui.widgets.text_dialog import TextDialog

if TYPE_CHECKING:
    from mlbench.engine.record_desk import RecordDesk
    from mlbench.tui.app import Workbench

Deed = Callable[["Workbench", Situation], None]
FORMS: Mapping[str, str] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}


def _baseline(workbench: Workbench, situation: Situation) -> None:
    run = subjects(situation)[-1]
    is_on = not run.marks.baseline_since
    workbench.record.do(lambda desk: desk.baseline(run.id, is_on))


def _star(workbench: Workbench, situation: Situation) -> None:
    runs = subjects(situation)
    is_on = not all(run.marks.star for run in runs)
    for run in runs:
        workbench.record.do(partial(_starred, run.id, is_on))


def _starred(run: str, is_on: bool, desk: RecordDesk) -> str:
    return desk.star(run, is_on)


def _archive(workbench: Workbench, situation: Situation) -> None:
    runs = subjects(situation)
    is_on = not all(run.marks.archived for run in runs)
    ids = [run.id for run in runs]
    workbench.record.do(lambda desk: desk.archive(ids, is_on))


def _note(workbench: Workbench, situation: Situation) -> None:
    runs = subjects(situation)
    run = runs[-1]

    def answered(text: str | None) -> None:
        if text is not None and text.strip() != run.marks.note:
            workbench.record.do(lambda desk: desk.note(run.id, text))

    hint = "What there is to remember of it; nothing takes the note away."
    workbench.push_screen(TextDialog(f"Note on {run.name}", hint, run.marks.note), answered)


def _tags(workbench: Workbench, situation: Situation) -> None:
    runs = subjects(situation)
    common = [tag for tag in runs[0].marks.tags if all(tag in run.marks.tags for run in runs)]

    def answered(text: str | None) -> None:
        if text is None:
            return
        added, gone = changed_tags(common, text.split())
        for run in runs:
            if gone:
                workbench.record.do(partial(_tagged, run.id, gone, True))
            if added:
                workbench.record.do(partial(_tagged, run.id, added, False))

    whose = runs[0].name if len(runs) == 1 else plural(len(runs), "run")
    hint = "Words, or key=value, with a space between."
    workbench.push_screen(TextDialog(f"Tags of {whose}", hint, " ".join(common)), answered)


def changed_tags(before: Sequence[str], wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which tags to add, and which to take away: another value takes the place of a key's."""
    added = [tag for tag in wanted if tag not in before]
    replaced = {tag.partition("=")[0] for tag in added}
    gone = [tag for tag in before if tag not in wanted and tag.partition("=")[0] not in replaced]
    return added, gone


def _tagged(run: str, tags: Sequence[str], is_removing: bool, desk: RecordDesk) -> str:
    return desk.tag(run, tags, remove=is_removing)


def _delete(workbench: Workbench, situation: Situation) -> None:
    runs = subjects(situation)
    ids = [run.id for run in runs]

    def answered(choice: Choice | None) -> None:
        if choice is not None and choice.value == DELETE:
            workbench.record.do(lambda desk: desk.delete(ids))
            workbench.runs_pane.leave_deleted()

    workbench.push_screen(QuestionDialog(ask_delete(runs)), answered)


def _restore(workbench: Workbench, situation: Situation) -> None:
    workbench.readers.ask(RestoreQuestion(subjects(situation)[-1].id))


def _undo(workbench: Workbench, _: Situation) -> None:
    workbench.record.do(lambda desk: desk.undo())


def _copy(workbench: Workbench, situation: Situation) -> None:
    copy(workbench, " ".join(run.id for run in subjects(situation)))


def _columns(workbench: Workbench, situation: Situation) -> None:
    table = workbench.runs_pane.table

    def answered(columns: tuple[str, ...] | None) -> None:
        if columns is not None:
            table.choose(columns)

    workbench.push_screen(ColumnsDialog(table.columns, situation.history.columns), answered)


def _export(workbench: Workbench, situation: Situation) -> None:
    marked = tuple(run.id for run in situation.marked)
    every = situation.history.runs
    what = plural(len(marked), "marked run") if marked else plural(len(every), "run")
    hint = f"Writes {what} to a .csv, .json or .parquet file, in {workbench.root}."

    def answered(text: str | None) -> None:
        if text is not None:
            target = workbench.root / Path(text.strip()).expanduser()
            workbench.record.do(lambda _: export(situation, marked, target))

    fault = partial(export_fault, workbench.root)
    workbench.push_screen(TextDialog("Export", hint, "runs.csv", fault), answered)


def export_fault(root: Path, text: str) -> str:
    """What is wrong with the name of a file to write to; empty where nothing is."""
    path = root / Path(text.strip()).expanduser()
    if path.suffix not in FORMS:
        return f"end the name in {', '.join(FORMS)}"
    if path.exists():
        return f"{path.name} is there already; choose another name"
    return "" if path.parent.is_dir() else f"there is no folder {path.parent}"


def export(situation: Situation, marked: Sequence[str], target: Path) -> str:
    """Write the marked runs, or all that are listed; gives the sentence that says so."""
    from mlbench.engine.exporting import History, write_runs

    runs = situation.history.runs
    listed = runs if isinstance(runs, History) else History.of(runs)
    if marked:
        places = [place for place, run in enumerate(listed.ids()) if run in marked]
        listed = History([listed.lines[place] for place in places])
    write_runs(listed, target, FORMS[target.suffix])
    return f"wrote {plural(len(listed), 'run')} to {target}"


def _pictures(workbench: Workbench, situation: Situation) -> None:
    run: Run | None = situation.run
    if run is not None:
        workbench.push_screen(PicturePage(run.name, situation.saved))


RECORD_DEEDS: Mapping[str, Deed] = {
    "baseline": _baseline,
    "star": _star,
    "archive": _archive,
    "note": _note,
    "tags": _tags,
    "delete": _delete,
    "restore": _restore,
    "undo": _undo,
    "copy": _copy,
    "columns": _columns,
    "export": _export,
    "pictures": _pictures,
}
