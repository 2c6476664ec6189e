"""The sweeps that are configured, and the studies that there are."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlbench.cli.output import narrate, print_json
from mlbench.cli.runs_table import GAP, Column, fitting, table_lines, when
from mlbench.cli.sweep_lines import values_text
from mlbench.cli.sweep_news import counts, has_ended
from mlbench.cli.sweep_voices import best_to_plain
from mlbench.domain.plain import to_plain
from mlbench.domain.sweeps import StudyView, Sweep, Trial

_NOTHING = (
    "mlbench.toml has no [sweeps.NAME]; one is tried on the spot with "
    '`mlbench sweep --over "KEY=log(LOW,HIGH)" --maximize METRIC`'
)
# The columns, each with its rank: of those that can't all fit the least stay.
_SWEEP_HEADS = {"sweep": 0, "stage": 2, "objective": 1, "over": 4, "trials": 3}
_STUDY_HEADS = {"study": 4, "sweep": 0, "state": 1, "trials": 2, "best": 3, "begun": 5}
_LEAST = 10


def print_sweeps(sweeps: Sequence[Sweep], studies: Sequence[StudyView], as_json: bool) -> None:
    """Two tables, of sweeps and of studies, newest first; or one JSON document."""
    if as_json:
        told = [study_to_plain(view) for view in studies]
        print_json({"sweeps": to_plain(list(sweeps)), "studies": told})
        return
    # A file or another program gets everything.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if not sweeps:
        narrate(_NOTHING)
    else:
        _print_table(_SWEEP_HEADS, map(_sweep_row, sweeps), width)
    if studies:
        if sweeps:
            print()
        _print_table(_STUDY_HEADS, (_study_row(view, time.time()) for view in studies), width)


def _print_table(
    heads: Mapping[str, int], rows: Iterable[Sequence[str]], width: int | None
) -> None:
    """The columns that have anything to say and fit, the least of `heads` first of all."""
    cells = [*zip(*rows, strict=True)]
    columns = [
        Column(head, texts, rank, widest=width or sys.maxsize)
        for (head, rank), texts in zip(heads.items(), cells, strict=True)
        if any(texts)
    ]
    for line in table_lines(columns_within(columns, width)):
        print(line)


def columns_within(columns: Sequence[Column], width: int | None) -> list[Column]:
    """Those that fit, and the next one as far as there is room for some of it."""
    shown = fitting(columns, width)
    left = [column for column in columns if column not in shown]
    if width is None or not left:
        return shown
    room = width - sum(column.width + GAP for column in shown)
    cut = min(left, key=lambda column: column.rank)
    if room < _LEAST:
        return shown
    stay = (*shown, cut)
    return [replace(one, widest=room) if one is cut else one for one in columns if one in stay]


def study_to_plain(view: StudyView) -> dict[str, Any]:
    """A study as `--json` lists it."""
    return {
        "id": view.study.id,
        "sweep": view.study.name,
        "state": state_of(view),
        "because": view.progress.because,
        "started": view.study.started,
        "trials": counts(view.trials),
        "wanted": view.study.sweep.trials,
        "best": [best_to_plain(trial) for trial in best_trials(view)],
    }


def state_of(view: StudyView) -> str:
    """Its phase while its coordinator lives; then `done`, `stopped` or `broke off`."""
    if view.is_running:
        return view.progress.phase
    if view.progress.phase != "ended" or view.progress.has_failed:
        return "broke off"
    return "done" if view.progress.is_done else "stopped"


def best_trials(view: StudyView) -> list[Trial]:
    """The best trial of a study, or its front."""
    return [trial for trial in view.trials if trial.number in view.best]


def _sweep_row(sweep: Sweep) -> tuple[str, ...]:
    objectives = ", ".join(objective.text for objective in sweep.objectives)
    return (sweep.name, sweep.stage, objectives, _names(sweep), str(sweep.trials))


def _study_row(view: StudyView, now: float) -> tuple[str, ...]:
    study = view.study
    done = f"{has_ended(view.trials)} of {study.sweep.trials}"
    best = _best_text(best_trials(view), study.sweep)
    return (study.id, study.name, state_of(view), done, best, when(study.started, now))


def _best_text(best: Sequence[Trial], sweep: Sweep) -> str:
    if len(sweep.objectives) > 1 and best:
        return f"{len(best)} on the front"
    return f"#{best[0].number} {values_text(best[0], sweep.objectives)}" if best else ""


def _names(sweep: Sweep) -> str:
    names: Iterable[str] = (dimension.name for dimension in sweep.space)
    return ", ".join(names)
