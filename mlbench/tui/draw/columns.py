"""The columns of the table of runs: which there are, which are shown, and what a cell says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace

from mlbench.domain.expression import ExpressionError, names_in
from mlbench.domain.phrases import ago, duration
from mlbench.domain.runs import Run
from mlbench.domain.slices import parse_gate
from mlbench.domain.stages import Project
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.lines import Part, length, line
from mlbench.tui.draw.story import changed_params
from mlbench.tui.words import arrow, moment, scalar, tabular

GAP = 2
CHANGED = "changed"
METRIC, PARAM = "metrics.", "params."
_EXTREMES = (".min", ".max")
_LEAST_CHANGES = 24
_MOST_TITLE = 16
_LEAST_WIDTH = 4
_MOST_WIDTH = 28
_MOST_METRICS = 16
_MOST_DIFFERING = 80
_DAY = 86400
_NONE: Part = ("–", "$quiet")


@dataclass(frozen=True, slots=True)
class Column:
    """One column as it is drawn, `width` cells wide."""

    key: str
    title: str
    width: int
    right: bool = False

    @property
    def sort(self) -> str:
        """What it sorts by, as `mlbench runs --sort` takes it; empty where it can't."""
        return sort_key(self.key)


@dataclass(frozen=True, slots=True)
class Row:
    """What a cell is drawn from; `before` passed last before the run."""

    run: Run
    now: float
    before: Run | None = None
    baseline: Run | None = None
    objective: str | None = None
    direction: int = 1


Cell = Callable[[Row], Part]


@dataclass(frozen=True, slots=True)
class Field:
    """A column that every run has: its title, its rank where none were chosen, its cell."""

    title: str
    rank: int
    cell: Cell
    right: bool = False
    sorts: bool = True


def sort_key(key: str) -> str:
    """What a column sorts by, as `mlbench runs --sort` takes it; empty where it can't."""
    if key in FIELDS:
        return key if FIELDS[key].sorts else ""
    return key.removeprefix(METRIC) if key.endswith(_EXTREMES) else key


def title_of(key: str) -> str:
    """What stands above a column, in full."""
    if key in FIELDS:
        return FIELDS[key].title
    return key.removeprefix(METRIC).removeprefix(PARAM)


def gated_names(project: Project | None) -> frozenset[str]:
    """The metrics that the gates of a project name."""
    checks = [gate.check for model in project.models for gate in model.gates] if project else []
    found: set[str] = set()
    for check in checks:
        with contextlib.suppress(ExpressionError):
            found |= {name.removeprefix(METRIC) for name in names_in(parse_gate(check))}
    return frozenset(found)


def catalogue(runs: Sequence[Run]) -> tuple[str, ...]:
    """Every column that can be chosen for these runs."""
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    extremes = dict.fromkeys(name for run in runs for name in run.extremes)
    params = dict.fromkeys(name for run in runs for name in run.params)
    return (
        *FIELDS,
        *(METRIC + name for name in metrics),
        *(METRIC + name + which for name in extremes for which in _EXTREMES),
        *(PARAM + name for name in params),
    )


def automatic(
    every: Sequence[str], objective: str | None, gated: Container[str] = ()
) -> tuple[str, ...]:
    """The columns where the user has chosen none, in order, of `every` column that there is.

    Of the metrics the objective's comes first, then those that gates name, then plain names.
    """
    names = [key.removeprefix(METRIC) for key in every if key.startswith(METRIC)]
    names = [name for name in names if not name.endswith(_EXTREMES)]
    names.sort(key=lambda name: (name != objective, name not in gated, "." in name))
    shown = (METRIC + name for name in names[:_MOST_METRICS])
    return ("name", "started", "seconds", *shown, CHANGED, "tags", "origin", "commit")


def differing(runs: Sequence[Run]) -> tuple[str, ...]:
    """The columns in which these runs differ: parameters first, then metrics and the rest."""
    params = dict.fromkeys(PARAM + name for run in runs for name in run.params)
    metrics = dict.fromkeys(METRIC + name for run in runs for name in run.metrics)
    facts = ("outcome", "branch", "commit", "origin", "by", "tags")
    values = {
        key: {_plain(_cell_of(key)(Row(run, 0.0))) for run in runs}
        for key in (*params, *metrics, *facts)
    }
    found = [key for key, shown in values.items() if len(shown) > 1]
    return ("name", "started", *found[:_MOST_DIFFERING])


def columns_for(
    runs: Sequence[Run],
    keys: Sequence[str],
    width: int,
    *,
    chosen: bool = False,
    row: Callable[[Run], Row] | None = None,
) -> tuple[Column, ...]:
    """The columns that fit into this width, in order; their widths come from these runs.

    Columns that the user has `chosen` give way from the right, others by what they are worth.
    """
    shown = row or (lambda run: Row(run, 0.0))
    rows = [shown(run) for run in runs]
    metrics = [key for key in keys if key.startswith(METRIC)]
    place = {key: index for index, key in enumerate(keys)}
    kept: list[Column] = []
    room = width
    for key in keys if chosen else sorted(keys, key=lambda key: _rank(key, metrics)):
        # Widths are measured only as long as there may be room.
        if room < _LEAST_WIDTH + GAP:
            break
        column = Column(key, title_of(key), _width(key, rows), _is_right(key, rows))
        if column.width + GAP <= room:
            kept.append(column)
            room -= column.width + GAP
        elif chosen:
            break
    return tuple(
        replace(column, width=column.width + room) if column.key == CHANGED else column
        for column in sorted(kept, key=lambda column: place[column.key])
    )


def cell_text(key: str, row: Row) -> Part:
    """What a cell of this column says of a run."""
    return _cell_of(key)(row)


def _cell_of(key: str) -> Cell:
    if key in FIELDS:
        return FIELDS[key].cell
    return _param(key.removeprefix(PARAM)) if key.startswith(PARAM) else _metric(key)


def _param(name: str) -> Cell:
    def shown(row: Row) -> Part:
        params = row.run.params
        return scalar(params[name]) if name in params else _NONE

    return shown


def _metric(key: str) -> Cell:
    name = key.removeprefix(METRIC)

    def shown(row: Row) -> Part:
        value = value_in(row.run, name)
        if value is None:
            return _NONE
        base = value_in(row.baseline, name) if row.baseline is not None else None
        if name != row.objective or base is None:
            return tabular(value)
        return line(tabular(value), " ", change(value - base, row.direction))

    return shown


def change(difference: float, direction: int) -> Part:
    """How a value moved, with what that means; `direction` is 0 where nobody knows."""
    meant = difference * direction
    style = "$quiet" if not difference else "$ok" if meant > 0 else "$warn" if meant else "$info"
    return (f"{arrow(float(f'{difference:.2g}')):<8}", style)


def value_in(run: Run, name: str) -> float | None:
    """A metric's last value, or with `.min` or `.max` behind its name an extreme of it."""
    if name in run.metrics:
        return run.metrics[name]
    stem, _, which = name.rpartition(".")
    found = run.extremes.get(stem)
    if found is None or which not in ("min", "max"):
        return None
    return found.min if which == "min" else found.max


def _when(row: Row) -> Part:
    started = seconds_of(row.run.started)
    is_recent = row.now - started < _DAY
    return (ago(started, row.now) if is_recent else moment(started)[5:], "$quiet")


def _changes(row: Row) -> Part:
    changes = changed_params(row.run.params, row.before.params if row.before else None)
    return ", ".join(f"{name} {was} → {now_is}" for name, was, now_is in changes)


def _commit(row: Row) -> Part:
    code = row.run.code
    if code.commit is None:
        return _NONE
    return line((code.commit[:6], "$quiet"), ("±", "$warn") if code.dirty else "")


def _name(row: Row) -> Part:
    marks = row.run.marks
    signs = ("★" if marks.star else "") + ("⚑" if marks.baseline_since else "")
    name: Part = (row.run.name, "$quiet") if marks.archived else row.run.name
    return line(name, (f" {signs}", "$warn") if signs else "")


def _outcome(row: Row) -> Part:
    outcome = row.run.outcome
    return (outcome.word, f"${outcome.colour}") if outcome else ("running", "$info")


def _trial(row: Row) -> Part:
    return "" if row.run.trial is None else (str(row.run.trial), "$quiet")


def _one_line(text: str) -> str:
    return " ".join(text.split())


FIELDS: Mapping[str, Field] = {
    "name": Field("run", 0, _name),
    "started": Field("when", 2, _when),
    "seconds": Field("took", 5, lambda row: (duration(row.run.seconds), "$quiet"), right=True),
    "outcome": Field("outcome", 8, _outcome),
    CHANGED: Field("changed params", 3, _changes, sorts=False),
    "tags": Field("tags", 6, lambda row: (" ".join(row.run.marks.tags), "$info"), sorts=False),
    "note": Field("note", 8, lambda row: _one_line(row.run.marks.note)),
    "origin": Field("origin", 7, lambda row: (row.run.origin, "$quiet")),
    "study": Field("study", 9, lambda row: (row.run.study, "$quiet")),
    "trial": Field("trial", 9, _trial, right=True),
    "by": Field("by", 8, lambda row: (row.run.by, "$quiet")),
    "branch": Field("branch", 8, lambda row: (row.run.code.branch or "–", "$quiet")),
    "commit": Field("commit", 8, _commit),
    "id": Field("id", 9, lambda row: (row.run.id, "$quiet")),
}


def _width(key: str, rows: Sequence[Row]) -> int:
    if key == CHANGED:
        return _LEAST_CHANGES
    if key == "started":
        return 11
    shown = _cell_of(key)
    texts = (length(shown(row)) for row in rows)
    title = min(_MOST_TITLE, len(title_of(key))) + 1
    return min(_MOST_WIDTH, max(texts, default=0) if key == "name" else max([title, *texts]))


def _is_right(key: str, rows: Sequence[Row]) -> bool:
    if key in FIELDS:
        return FIELDS[key].right
    if key.startswith(METRIC):
        return True
    values = [row.run.params.get(key.removeprefix(PARAM)) for row in rows]
    return all(isinstance(value, (int, float)) or value is None for value in values)


def _rank(key: str, metrics: Sequence[str]) -> int:
    if key in FIELDS:
        return FIELDS[key].rank
    place = metrics.index(key) if key in metrics else len(metrics)
    return 1 if place == 0 else 4 if place < 3 else 9 + place


def _plain(part: Part) -> str:
    return line(part).plain
