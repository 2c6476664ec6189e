"""The table of runs: which columns fit, how wide they are, and one line a run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace

from textual.content import Content

from mlbench.domain.expression import ExpressionError, names_in, parse
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.lines import Part, cell, joined, line, spread, widest
from mlbench.tui.draw.story import changed_params
from mlbench.tui.words import ago, arrow, duration, moment, tabular

RUNNING_SIGN = ("↻", "$info")
GAP = 2
_LEAST_CHANGES = 24
_FLEXIBLE = "changed"
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` is what it sorts by; of two that can't both fit the lower `rank` stays."""

    key: str
    title: str
    width: int
    rank: int
    right: bool = False


def metric_names(
    runs: Sequence[Run], objective: str | None, gated: Container[str] = ()
) -> tuple[str, ...]:
    """The metrics of these runs: the objective's, those that gates name, plain names, the rest."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    order = sorted(names, key=lambda name: (name != objective, name not in gated, "." in name))
    return tuple(order)


def recent_lines(
    runs: Sequence[Run],
    before: Mapping[str, Run],
    metric: str | None,
    direction: int,
    width: int,
    now: float,
) -> list[Content]:
    """Runs in brief: how each came out, the metric that matters, how it moved, how long ago."""
    names = widest(run.name for run in runs)
    lines = []
    for run in runs:
        head = line(_sign(run), " ", cell(run.name, names))
        when = (ago(seconds_of(run.started), now).removesuffix(" ago"), "$quiet")
        parts = _moved(run, before, metric, direction)
        while len(parts) > 1 and _width(head, parts, when) > width:
            parts.pop()
        lines.append(spread(joined([head, *parts], "  "), line("  ", when), width))
    return lines


def _width(head: Content, parts: Sequence[Content], when: tuple[str, str]) -> int:
    return joined([head, *parts, line(when)], "  ").cell_length


def _moved(
    run: Run, before: Mapping[str, Run], metric: str | None, direction: int
) -> list[Content]:
    failed = [name for name, stage in run.stages.items() if stage.outcome is StageOutcome.FAILED]
    if failed:
        return [line((f"failed at {failed[0]}", "$fail"))]
    if metric is None or metric not in run.metrics:
        return []
    value = run.metrics[metric]
    known = before[run.id].metrics if run.id in before else {}
    if metric not in known:
        return [line(tabular(value))]
    moved = value - known[metric]
    style = "$quiet" if not moved else "$ok" if moved * direction > 0 else "$warn"
    return [line(tabular(value)), line((arrow(float(f"{moved:.2g}")), style))]


def _sign(run: Run) -> tuple[str, str]:
    return (run.outcome.glyph, f"${run.outcome.colour}") if run.outcome else RUNNING_SIGN


def gated_names(project: Project | None) -> frozenset[str]:
    """The metrics that the gates of a project name."""
    checks = [gate.check for model in project.models for gate in model.gates] if project else []
    found: set[str] = set()
    for check in checks:
        with contextlib.suppress(ExpressionError):
            found |= {name.removeprefix("metrics.") for name in names_in(parse(check))}
    return frozenset(found)


def columns_for(runs: Sequence[Run], metrics: Sequence[str], width: int) -> tuple[Column, ...]:
    """The columns that fit into this width, in order; widths come from the given runs alone."""
    names = max([len(run.name) for run in runs], default=4)
    wanted = [
        Column("name", "run", max(6, min(28, names)), 0),
        Column("started", "when", 10, 2),
        Column("seconds", "took", 7, 5, right=True),
        *(
            Column(name, name, _metric_width(name, runs), _metric_rank(index), right=True)
            for index, name in enumerate(metrics)
        ),
        Column(_FLEXIBLE, "changed params", _LEAST_CHANGES, 3),
        Column("origin", "origin", 7, 7),
        Column("commit", "commit", 8, 8),
    ]
    chosen: list[Column] = []
    room = width - 2
    for column in sorted(wanted, key=lambda column: column.rank):
        if column.width + GAP <= room:
            chosen.append(column)
            room -= column.width + GAP
    place = {column.key: index for index, column in enumerate(wanted)}
    return tuple(
        replace(column, width=column.width + room) if column.key == _FLEXIBLE else column
        for column in sorted(chosen, key=lambda column: place[column.key])
    )


def header_cells(
    columns: Sequence[Column], sort: str, *, descending: bool
) -> list[tuple[Column, Content]]:
    """The titles with the gap after each, the one that sorts with an arrow."""
    cells = []
    for column in columns:
        is_sorting = column.key == (sort or "started")
        arrow = ("▾" if descending else "▴") if is_sorting else ""
        style = "bold $info" if is_sorting else "bold $quiet"
        title = cell((column.title, style), column.width - len(arrow), right=column.right)
        cells.append((column, line(title, (arrow, style), " " * GAP)))
    return cells


def run_line(
    run: Run, before: Run | None, columns: Sequence[Column], now: float, *, marked: bool = False
) -> Content:
    """One run in these columns; a mark stands in the first cell."""
    parts: list[Part] = [("◆", "bold $info") if marked else _sign(run), " "]
    row = _Shown(run, before, now)
    for column in columns:
        shown = _CELLS.get(column.key, _metric(column.key))(row)
        parts += [cell(shown, column.width, right=column.right), " " * GAP]
    return line(*parts)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a cell is drawn from."""

    run: Run
    before: Run | None
    now: float


Cell = Callable[[_Shown], Part]


def _metric(name: str) -> Cell:
    def shown(row: _Shown) -> Part:
        metrics = row.run.metrics
        return tabular(metrics[name]) if name in metrics else ("–", "$quiet")

    return shown


def _when(row: _Shown) -> Part:
    started = seconds_of(row.run.started)
    is_recent = row.now - started < _DAY
    return (ago(started, row.now) if is_recent else moment(started)[5:], "$quiet")


def _changes(row: _Shown) -> Part:
    changes = changed_params(row.run.params, row.before.params if row.before else None)
    return ", ".join(f"{name} {was} → {now_is}" for name, was, now_is in changes)


def _commit(row: _Shown) -> Part:
    code = row.run.code
    if code.commit is None:
        return ("–", "$quiet")
    return line((code.commit[:6], "$quiet"), ("±", "$warn") if code.dirty else "")


_CELLS: Mapping[str, Cell] = {
    "name": lambda row: row.run.name,
    "started": _when,
    "seconds": lambda row: (duration(row.run.seconds), "$quiet"),
    "origin": lambda row: (row.run.origin, "$quiet"),
    "commit": _commit,
    _FLEXIBLE: _changes,
}


def _metric_width(name: str, runs: Sequence[Run]) -> int:
    values = [len(tabular(run.metrics[name])) for run in runs if name in run.metrics]
    return max([min(16, len(name)) + 1, *values])


def _metric_rank(index: int) -> int:
    return 1 if index == 0 else 4 if index < 3 else 9 + index
