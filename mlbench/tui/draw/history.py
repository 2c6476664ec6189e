"""One line a run: in the table with its columns, and in brief beside the stages."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.phrases import ago
from mlbench.domain.runs import Run
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.columns import GAP, Column, Row, cell_text
from mlbench.tui.draw.lines import Part, cell, fitted, joined, line, spread, widest
from mlbench.tui.history import PassedBefore
from mlbench.tui.words import arrow, tabular

RUNNING_SIGN = ("↻", "$info")


def recent_lines(
    runs: Sequence[Run],
    before: PassedBefore,
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


def _moved(run: Run, before: PassedBefore, metric: str | None, direction: int) -> list[Content]:
    failed = [name for name, stage in run.stages.items() if stage.outcome is StageOutcome.FAILED]
    if failed:
        return [line((f"failed at {failed[0]}", "$fail"))]
    if metric is None or metric not in run.metrics:
        return []
    value = run.metrics[metric]
    passed = before.known(run.id)
    known = passed.metrics if passed else {}
    if metric not in known:
        return [line(tabular(value))]
    moved = value - known[metric]
    style = "$quiet" if not moved else "$ok" if moved * direction > 0 else "$warn"
    return [line(tabular(value)), line((arrow(float(f"{moved:.2g}")), style))]


def _sign(run: Run) -> tuple[str, str]:
    return (run.outcome.glyph, f"${run.outcome.colour}") if run.outcome else RUNNING_SIGN


def header_cells(
    columns: Sequence[Column], sort: str, *, descending: bool
) -> list[tuple[Column, Content]]:
    """The titles with the gap after each, the one that sorts with an arrow."""
    cells = []
    for column in columns:
        is_sorting = column.sort == (sort or "started")
        arrow = ("▾" if descending else "▴") if is_sorting else ""
        style = "bold $info" if is_sorting else "bold $quiet"
        title = cell((column.title, style), column.width - len(arrow), right=column.right)
        cells.append((column, line(title, (arrow, style), " " * GAP)))
    return cells


def run_line(row: Row, columns: Sequence[Column], *, marked: bool = False) -> Content:
    """One run in these columns, after its mark and its outcome's glyph."""
    parts: list[Part] = [("◆" if marked else " ", "bold $info"), _sign(row.run), " "]
    for column in columns:
        text = cell_text(column.key, row)
        parts += [fitted(text, column.width, right=column.right), " " * GAP]
    return line(*parts)
