"""Candidates and versions, one line each; the one under the cursor in full; the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import ago, number, size
from mlbench.domain.release import LedgerEntry
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.gates import gate_lines, gates_in_short
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.reading import Released
from mlbench.tui.words import moment, version_of

_TITLES = ("model", "version", "run", "when", "gates", "parity", "size", "p99", "live in")


def model_table(rows: Sequence[Released], width: int, now: float) -> tuple[Content, list[Content]]:
    """The header and one line a row; columns that don't fit fall away by rank."""
    cells = [_cells(row, now) for row in rows]
    widths = [
        max(len(title), widest(row[column].plain for row in cells))
        for column, title in enumerate(_TITLES)
    ]
    shown = _fitting(widths, width)
    header = line(
        *(
            part
            for column, room in shown.items()
            for part in (cell((_TITLES[column], "bold $quiet"), room), "  ")
        )
    )
    lines = [
        line(*(part for column, room in shown.items() for part in (cell(row[column], room), "  ")))
        for row in cells
    ]
    return header, lines


def release_page(row: Released, width: int) -> list[Content]:
    """One candidate or version in full: gates with margins, parity, latency, where it came from."""
    item = row.candidate
    parity = item.parity
    error_style = "" if parity.passed else "$fail"
    name = row.run.name if row.run else friendly_name(item.run)
    tests = [record.tests for record in row.run.stages.values() if record.tests] if row.run else []
    return [
        line((name, "bold"), (f"  {item.run}  ", "$quiet"), *_live(row)),
        line(*_dirty(row, "from uncommitted code")),
        *gate_lines(item.gates, width, tests[0] if tests else None),
        EMPTY,
        line(
            ("parity  ", "$quiet"),
            (f"max error {number(parity.max_abs_error)} on row {parity.worst_row}", error_style),
        ),
        line((f"        {parity.label_flips} labels of {parity.rows} rows differ", "$quiet")),
        line(
            ("latency ", "$quiet"),
            "  ".join(
                f"{key.removesuffix('_ms')} {number(v)} ms" for key, v in item.latency.items()
            ),
        ),
        line(("size    ", "$quiet"), size(item.size), (f"  {item.digest[:12]}", "$quiet")),
    ]


def ledger_lines(entries: Sequence[LedgerEntry], width: int) -> list[Content]:
    """Newest first: when, what, where, which version of which run, by whom and why."""
    rows = []
    for entry in reversed(entries):
        sign, style = ("↩", "$warn") if entry.action == "rollback" else ("↑", "$ok")
        text = line(
            (moment(seconds_of(entry.at))[5:], "$quiet"),
            "  ",
            (sign, style),
            f" {entry.environment}  ",
            (f"{entry.model} v{entry.version}", "bold"),
            (f"  {friendly_name(entry.run)}  by {entry.by}", "$quiet"),
            (f"  {entry.why}" if entry.why else "", "$warn"),
        )
        rows.append(cell(text, width))
    return rows


def _cells(row: Released, now: float) -> list[Content]:
    item = row.candidate
    parity_style = "" if item.parity.passed else "$fail"
    name = row.run.name if row.run else friendly_name(item.run)
    p99 = item.latency.get("p99_ms")
    return [
        line(item.model),
        line((version_of(item), "bold" if item.version else "$info")),
        line(name, *_dirty(row, "±")),
        line((ago(seconds_of(item.created), now), "$quiet")),
        gates_in_short(item.gates),
        line(
            (number(item.parity.max_abs_error), parity_style),
            (f" row {item.parity.worst_row}", "$quiet"),
        ),
        line((size(item.size), "$quiet")),
        line((f"{number(p99)} ms" if p99 is not None else "–", "$quiet")),
        line(*_live(row)),
    ]


def _live(row: Released) -> list[Part]:
    return [("● " + ", ".join(row.environments), "$ok")] if row.environments else []


def _dirty(row: Released, text: str) -> list[Part]:
    return [(text, "$warn")] if row.run is not None and row.run.code.dirty else []


def _fitting(widths: Sequence[int], width: int) -> dict[int, int]:
    """Which columns fit, by what matters most: version, where live, gates, run, then the rest."""
    chosen: dict[int, int] = {}
    room = width
    for column in (1, 8, 4, 2, 3, 5, 0, 7, 6):
        wanted = widths[column] + 2
        if wanted > room and column == 4 and room > 14:
            wanted = room
        if wanted <= room:
            chosen[column] = wanted - 2
            room -= wanted
    return dict(sorted(chosen.items()))
