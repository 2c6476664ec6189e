"""The table of `mlbench runs`: which columns it has, and which of them fit: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlbench.domain.phrases import ago, duration, number
from mlbench.domain.runs import Run

GAP = 2
_MONTH = 30 * 86400.0
_WIDEST = 28
# Columns in the order of the table; of those that can't all fit the least rank stays.
_NAME, _WHEN, _TOOK, _ORIGIN, _TAGS, _COMMIT = "run", "when", "took", "origin", "tags", "commit"
_RANKS = {_NAME: 0, _WHEN: 2, _TAGS: 3, _COMMIT: 5, _TOOK: 6, _ORIGIN: 30}
# A name as it was written, with or without its root.
_ROOTS = ("", "metrics.", "params.")
_FIRST, _SECOND, _DIFFERING, _EQUAL = 1, 4, 7, 40


@dataclass(frozen=True, slots=True)
class Column:
    """One column with a cell for each run; the lower its rank, the longer it stays."""

    title: str
    cells: tuple[str, ...]
    rank: int = 0
    right: bool = False
    widest: int = _WIDEST

    @property
    def width(self) -> int:
        """As wide as what it shows, up to a limit."""
        return min(self.widest, max(map(_width, (self.title, *self.cells))))


def columns_for(
    runs: Sequence[Run],
    now: float,
    asked: Mapping[str, Sequence[Any]],
    objective: str | None = None,
    *,
    only_differences: bool = False,
) -> list[Column]:
    """The columns of these runs: what differs among them before what is the same for all.

    `asked` are the values of what the runs were sorted or filtered by, which come first;
    `objective` is the metric that matters most; `now` is in seconds since the epoch.
    """
    values = _values(runs, objective)
    differing = [name for name in values if _differs(values[name])]
    first = [_first_of(differing, "metrics."), *(_path_of(name, values) for name in asked)]
    ranks = dict.fromkeys(first, _FIRST) | {_first_of(differing, "params."): _SECOND}
    columns = [
        Column(_NAME, tuple(map(_name, runs)), _RANKS[_NAME]),
        Column(_WHEN, tuple(when(run.started, now) for run in runs), _RANKS[_WHEN]),
        Column(_TOOK, tuple(duration(run.seconds) for run in runs), _RANKS[_TOOK], right=True),
    ]
    for name, column in asked.items():
        if _path_of(name, values) is None:
            columns.append(_made(name, column, _FIRST))
    for place, name in enumerate(sorted(values, key=lambda name: name not in differing)):
        if name in differing or not only_differences:
            near = _DIFFERING if name in differing else _EQUAL
            columns.append(_value_column(name, values, ranks.get(name, near + place)))
    return columns + _other_columns(runs, only_differences=only_differences)


def _other_columns(runs: Sequence[Run], *, only_differences: bool) -> list[Column]:
    columns = []
    origins, tags = [run.origin for run in runs], [" ".join(run.marks.tags) for run in runs]
    if _differs(origins):
        columns.append(Column(_ORIGIN, tuple(origins), _RANKS[_ORIGIN]))
    if any(tags):
        columns.append(Column(_TAGS, tuple(tags), _RANKS[_TAGS]))
    commits = tuple(map(_commit, runs))
    if any(commits) and not (only_differences and not _differs(commits)):
        columns.append(Column(_COMMIT, commits, _RANKS[_COMMIT]))
    return columns


def _first_of(names: Sequence[str], root: str) -> str | None:
    return next((name for name in names if name.startswith(root)), None)


def _path_of(name: str, values: Mapping[str, Any]) -> str | None:
    """Which of the metrics and parameters a name means; None where it is something else."""
    return next((path for root in _ROOTS if (path := f"{root}{name}") in values), None)


def chosen_columns(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Column]:
    """The columns that somebody asked for, each with the values of these rows."""
    cells = list(zip(*rows, strict=True)) or [() for _ in names]
    return [_made(name, column) for name, column in zip(names, cells, strict=True)]


def fitting(columns: Sequence[Column], width: int | None) -> list[Column]:
    """The columns that stand side by side in this width, in their order; all for None."""
    if width is None:
        return list(columns)
    room = width + GAP
    stay: set[int] = set()
    for at in sorted(range(len(columns)), key=lambda at: columns[at].rank):
        needed = columns[at].width + GAP
        if needed <= room or not stay:
            stay.add(at)
            room -= needed
    return [column for at, column in enumerate(columns) if at in stay]


def table_lines(
    columns: Sequence[Column], paint: Callable[[int, str], str] = lambda _, text: text
) -> list[str]:
    """The titles and a line a run; `paint` may colour the first cell of a run's line."""
    # Once: a width is that of the widest of all cells.
    widths = [(column.width, column.right) for column in columns]
    titles = [_cell(column.title, *shape) for column, shape in zip(columns, widths, strict=True)]
    lines = [(" " * GAP).join(titles).rstrip()]
    for row in range(len(columns[0].cells)):
        first, *others = (
            _cell(column.cells[row], *shape) for column, shape in zip(columns, widths, strict=True)
        )
        lines.append((" " * GAP).join((paint(row, first), *others)).rstrip())
    return lines


def when(started: str, now: float) -> str:
    """How long ago a run began; a date for what is older than a month, or no time at all."""
    try:
        then = datetime.fromisoformat(started).timestamp()
    except ValueError:
        return started[:10]
    return ago(then, now) if now - then < _MONTH else started[:10]


def _values(runs: Sequence[Run], objective: str | None) -> dict[str, list[Any]]:
    """Metrics, the one that matters first, and parameters, with the value of each run."""
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    params = dict.fromkeys(name for run in runs for name in run.params)
    ordered = sorted(metrics, key=lambda name: name != objective)
    values = {f"metrics.{name}": [run.metrics.get(name) for run in runs] for name in ordered}
    return values | {f"params.{name}": [run.params.get(name) for run in runs] for name in params}


def _value_column(name: str, values: dict[str, list[Any]], rank: int) -> Column:
    root, _, bare = name.partition(".")
    # As a filter takes it: without its root, unless the other root has that name too.
    other = "params" if root == "metrics" else "metrics"
    title = name if f"{other}.{bare}" in values else bare
    return _made(title, values[name], rank)


def _made(title: str, values: Sequence[Any], rank: int = 0) -> Column:
    return Column(title, tuple(map(_shown, values)), rank, _is_numeric(values))


def _differs(values: Sequence[Any]) -> bool:
    """Whether not all are the same; NaN is the same as NaN, and 1 is not true."""
    return len({(type(value), str(value)) for value in values}) > 1


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) or value is None for value in values)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, (int, float)) else " ".join(str(value).split())


def _name(run: Run) -> str:
    outcome, marks = run.outcome, run.marks
    star, baseline = "★" if marks.star else "", "⚑" if marks.baseline_since else ""
    signs = f" {star}{baseline}{'⌂' if marks.archived else ''}".rstrip()
    return f"{outcome.glyph if outcome else '↻'} {run.name}{signs}"


def _commit(run: Run) -> str:
    return f"{run.code.commit[:7]}{'±' if run.code.dirty else ''}" if run.code.commit else ""


def _cell(text: str, width: int, is_right: bool) -> str:
    while _width(text) > width:
        text = f"{text.removesuffix('…')[:-1]}…"
    fill = " " * (width - _width(text))
    return fill + text if is_right else text + fill


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    # Late: most tables have no sign that is two cells wide.
    from rich.cells import cell_len

    return cell_len(text)
