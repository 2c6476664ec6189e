"""A run's own folder: everything about it, from which the index can be made again.

`run.json` is written once, when the run is recorded; `marks.json`, where there is one, says what
people made of it since.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlbench.domain.plain import to_plain
from mlbench.domain.runs import Marks, Run
from mlbench.system.files import write_json
from mlbench.system.values import read_value

RUN_NAME = "run.json"
MARKS_NAME = "marks.json"
DIFF_NAME = "diff.patch"
ENVIRONMENT_NAME = "environment.json"


def write_run(folder: Path, run: Run, diff: str = "") -> None:
    """Write the run with its dirty diff; the record comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    if diff:
        # Lines of files in other encodings come as surrogates, and leave as the bytes they were.
        (folder / DIFF_NAME).write_text(diff, encoding="utf-8", errors="surrogateescape")
    write_json(folder / RUN_NAME, to_plain(run))


def read_run(folder: Path) -> Run | None:
    """The run of a folder, or None where it holds no whole record."""
    run = read_value(Run, folder / RUN_NAME)
    if run is None:
        return None
    marks = read_marks(folder)
    return run if marks is None else replace(run, marks=marks)


def write_marks(folder: Path, marks: Marks) -> None:
    """Keep what people say of the run of this folder, durably and as a whole."""
    write_json(folder / MARKS_NAME, to_plain(marks))


def read_marks(folder: Path) -> Marks | None:
    """What people say of the run of this folder; None where nobody has marked it."""
    return read_value(Marks, folder / MARKS_NAME)
