"""Runs side by side: why one beat the other, and everything that they differ in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from textual.content import Content

from mlbench.domain import comparison as kinds
from mlbench.domain.comparison import ComparedRow, Comparison, Noise
from mlbench.domain.phrases import duration, number
from mlbench.domain.runs import Run, Scalar
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.code import counted, files_of
from mlbench.tui.draw.columns import change
from mlbench.tui.draw.lines import EMPTY, Part, cell, joined, line
from mlbench.tui.draw.series import letter, style_of
from mlbench.tui.words import arrow, moment, scalar

_GAP = "  "
_MOST_NAMED = 3
_MOST_NAMED_LENGTH = 24
_TITLES: Mapping[str, str] = {
    kinds.PARAMS: "Parameters",
    kinds.METRICS: "Metrics",
    kinds.CODE: "Code",
    kinds.DATA: "Data",
    kinds.PACKAGES: "Packages",
    kinds.ENVIRONMENT: "Machine and environment",
    kinds.STAGES: "Stages",
}
_ON_VALUES = (kinds.PARAMS, kinds.METRICS, kinds.DATA, kinds.CODE, kinds.STAGES)
_ON_MACHINES = (kinds.ENVIRONMENT, kinds.PACKAGES)
_LEAST_FOR_CHANGE, _LEAST_FOR_NOISE = 50, 78
_NONE = "–"


def verdict_lines(
    compared: Comparison, objective: str | None, direction: int, width: int
) -> list[Content]:
    """In two or three lines: what it did to the metric that matters, and what may be why."""
    first, last = compared.runs[0], compared.runs[-1]
    names = line(
        (f"{letter(0)} ", f"bold {style_of(0)}"),
        (first.name, "bold"),
        (" → " if len(compared.runs) == 2 else " … ", "$quiet"),
        (f"{letter(len(compared.runs) - 1)} ", f"bold {style_of(len(compared.runs) - 1)}"),
        (last.name, "bold"),
    )
    row = _news(compared, objective)
    told = _told(row, direction if row and row.name == objective else 0) if row else EMPTY
    whole = joined([names, told], _GAP)
    lines = [whole] if whole.cell_length <= width else [names, told]
    label: Part = ("because  ", "$quiet")
    causes = _causes(compared)
    for cause in causes or [line(("nothing that is on record differs", "$quiet"))]:
        lines.append(line(label, cause))
        label = " " * len("because  ")
    lines += [line(("!  ", "$warn"), (remark, "$warn")) for remark in compared.remarks]
    return [cell(item, width) for item in lines]


def values_lines(
    compared: Comparison, width: int, *, only_differences: bool, shifted: int = 0
) -> list[Content]:
    """Facts, parameters, metrics, data, code and stages, a column for each run."""
    table = _Table(compared.runs, width, shifted)
    runs = compared.runs
    # The year is told where it tells something.
    from_year = 0 if len({run.started[:4] for run in runs}) > 1 else len("2026-")
    facts: list[tuple[str, Callable[[Run], Part]]] = [
        ("outcome", _outcome),
        ("started", lambda run: moment(seconds_of(run.started))[from_year:]),
        ("took", lambda run: duration(run.seconds)),
        ("origin", lambda run: f"{run.origin} by {run.by}"),
    ]
    lines = [table.row("", [_named(index, run) for index, run in enumerate(runs)])]
    lines += [table.row((name, "$quiet"), [shown(run) for run in runs]) for name, shown in facts]
    return lines + _sections(compared, table, _ON_VALUES, only_differences=only_differences)


def machine_lines(
    compared: Comparison, width: int, *, only_differences: bool, shifted: int = 0
) -> list[Content]:
    """Packages, hardware and environment, a column for each run."""
    table = _Table(compared.runs, width, shifted)
    head = table.row("", [_named(index, run) for index, run in enumerate(compared.runs)])
    return [head, *_sections(compared, table, _ON_MACHINES, only_differences=only_differences)]


class _Table:
    """A name, a column for each run as far as they fit, and what a row's change means."""

    def __init__(self, runs: Sequence[Run], width: int, shifted: int) -> None:
        self.width = width
        is_of_numbers = len(runs) == 2 and width >= _LEAST_FOR_CHANGE
        self._end = 26 if is_of_numbers and width >= _LEAST_FOR_NOISE else 11 * is_of_numbers
        self._name = max(12, min(32, width // 4 if width >= _LEAST_FOR_NOISE else width // 3))
        room = width - self._name - (self._end + 2 if self._end else 0)
        longest = max((len(run.name) + 2 for run in runs), default=12)
        fitting = max(1, min(len(runs), room // (min(11, longest) + 2)))
        self._value = max(6, min(28, room // fitting - 2))
        first = max(0, min(shifted, len(runs) - fitting))
        self._shown = range(first, first + fitting)

    def row(self, name: Part, values: Sequence[Part], end: Part = "") -> Content:
        cells: list[Part] = [cell(name, self._name)]
        for index in self._shown:
            cells += [_GAP, cell(values[index], self._value)]
        return line(*cells, _GAP, cell(end, self._end)) if self._end else line(*cells)


def _sections(
    compared: Comparison, table: _Table, wanted: Sequence[str], *, only_differences: bool
) -> list[Content]:
    lines: list[Content] = []
    for kind in wanted:
        rows = [row for row in compared.rows if row.kind == kind]
        different = sum(row.differs for row in rows)
        shown = [row for row in rows if row.differs or not only_differences]
        if not rows:
            continue
        found = f"  {different} of {len(rows)} differ" if different else f"  all {len(rows)} same"
        title = line((_TITLES[kind], "bold $info"), (found, "$quiet"))
        lines += [EMPTY, cell(title, table.width)]
        lines += [_row(row, table) for row in shown]
    return lines


def _row(row: ComparedRow, table: _Table) -> Content:
    if not row.differs:
        values: list[Part] = [(_shown(value), "$quiet") for value in row.values]
        return table.row((f"  {row.name}", "$quiet"), values)
    plain: list[Part] = [_shown(value) for value in row.values]
    return table.row(("≠ " + row.name, "bold"), plain, _end(row))


def _end(row: ComparedRow) -> Part:
    if row.change is None:
        return ""
    moved: Part = (f"{arrow(float(f'{row.change:.3g}')):<10}", "$info")
    return line(moved, (_chance(row.noise, row.is_beyond_noise), "$quiet"))


def _chance(noise: Noise | None, is_beyond: bool | None) -> str:
    if noise is None or is_beyond is None:
        return ""
    return f"{'>' if is_beyond else '≤'} noise {number(noise.least_change)}"


def _news(compared: Comparison, objective: str | None) -> ComparedRow | None:
    """The metric that the verdict is about: the objective's, else the one that moved most."""
    metrics = [row for row in compared.rows if row.kind == kinds.METRICS and row.change is not None]
    named = next((row for row in metrics if row.name == objective), None)
    moved = [row for row in metrics if row.differs and "." not in row.name]
    return named or (moved[0] if moved else metrics[0] if metrics else None)


def _told(row: ComparedRow, direction: int) -> Content:
    was, now = row.values[0], row.values[-1]
    moved = line(
        f"{row.name} {_shown(was)} → ",
        (_shown(now), "bold"),
        " ",
        line(change(row.change or 0.0, direction)).rstrip(),
    )
    if not row.change:
        return moved
    if row.is_beyond_noise is None or row.noise is None:
        return line(moved, ("  no equal runs show how much is chance", "$quiet"))
    noise = number(row.noise.least_change)
    if row.is_beyond_noise:
        return line(moved, (f"  more than chance, {noise}", "$ok"))
    return line(moved, (f"  not more than chance, {noise}", "$warn"))


def _causes(compared: Comparison) -> list[Content]:
    """What differs that may be the reason, in the order in which people look."""
    found: list[Content] = []
    files = files_of(compared.code.get(compared.runs[-1].id, ""))
    told = {file.path for file in files}
    for kind in (kinds.PARAMS, kinds.DATA, kinds.PACKAGES, kinds.ENVIRONMENT):
        rows = [row for row in compared.rows if row.kind == kind and row.differs]
        # Scripts are inputs of their stages too, and are told of as code.
        rows = [row for row in rows if kind != kinds.DATA or row.name not in told]
        if not rows:
            continue
        named = [_cause(row) for row in rows[:_MOST_NAMED]]
        more = len(rows) - len(named)
        named += [line((f"+{more} more", "$quiet"))] if more > 0 else []
        title = "machine" if kind == kinds.ENVIRONMENT else kind
        found.append(line((f"{title:<9}", "$info"), joined(named, ", ")))
    if files:
        paths = ", ".join(file.path for file in files[:_MOST_NAMED])
        code = line((f"{'code':<9}", "$info"), counted(files), (f"  {paths}", "$quiet"))
        found.insert(1 if found else 0, code)
    return found


def _cause(row: ComparedRow) -> Content:
    if row.kind == kinds.DATA:
        return line(row.name)
    was, now = (_brief(_shown(value)) for value in (row.values[0], row.values[-1]))
    return line(f"{row.name} {was} → {now}")


def _brief(text: str) -> str:
    return text if len(text) <= _MOST_NAMED_LENGTH else text[: _MOST_NAMED_LENGTH - 1] + "…"


def _named(index: int, run: Run) -> Part:
    return line((f"{letter(index)} ", f"bold {style_of(index)}"), (run.name, "bold"))


def _outcome(run: Run) -> Part:
    if run.outcome is None:
        return ("running", "$info")
    return (f"{run.outcome.glyph} {run.outcome.word}", f"${run.outcome.colour}")


def _shown(value: Scalar) -> str:
    return _NONE if value is None else scalar(value)
