"""Candidates and versions, one line each: columns are measured once, lines drawn when seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import ago, number, size
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.gates import gates_in_short
from mlbench.tui.draw.lines import Part, cell, length, line
from mlbench.tui.reading import Released
from mlbench.tui.words import version_of

Cell = Sequence[Part]

_TITLES = ("model", "version", "run", "when", "gates", "parity", "size", "p99", "live in")
_MODEL, _VERSION, _RUN, _WHEN, _GATES, _PARITY, _SIZE, _LATENCY, _LIVE = range(len(_TITLES))
_RANKED = (_VERSION, _LIVE, _GATES, _RUN, _WHEN, _PARITY, _LATENCY, _SIZE)
_GAP = "  "
_MOST_GATES = 36
_NARROW = 60
# The columns that may be cut, and how far.
_LEAST = {_LIVE: 9, _GATES: 1}
_LEAST_WHERE_WIDE = {_GATES: 22, _PARITY: len("not exported")}
_COUNTED = len("✗ 1 of 4")
_LONGEST_AGO = len("59 min ago")


class ModelTable:
    """Rows measured for a width; columns that don't fit fall away by rank."""

    def __init__(self, rows: Sequence[Released], width: int, now: float) -> None:
        """Measure every row, but draw none."""
        self._rows = rows
        # Where there is one model alone, its name says nothing.
        is_one = len({row.candidate.model for row in rows}) < 2
        ranked = (*_RANKED, _MODEL) if is_one else (_MODEL, *_RANKED)
        cells = [_cells(row, now) for row in rows]
        widths = [
            max([len(title), *(sum(map(length, row[column])) for row in cells)])
            for column, title in enumerate(_TITLES)
        ]
        widths[_WHEN] = max(widths[_WHEN], _LONGEST_AGO)
        widths[_GATES] = min(widths[_GATES], _MOST_GATES)
        least = dict(_LEAST if width < _NARROW else _LEAST_WHERE_WIDE)
        if not any(row.environments for row in rows):
            least.pop(_LIVE, None)
        self._shown = _fitting(widths, ranked, least, width)

    @property
    def header(self) -> Content:
        """The titles of the columns that fit."""
        return self._line([[(title, "bold $quiet")] for title in _TITLES])

    def row(self, index: int, now: float) -> Content:
        """One candidate or version."""
        return self._line(_cells(self._rows[index], now))

    def _line(self, cells: Sequence[Cell]) -> Content:
        parts: list[Part] = []
        for column, room in self._shown.items():
            parts += [cell(line(*cells[column]), room), _GAP]
        return line(*parts)


def run_name(row: Released) -> str:
    """The friendly name of the run that it is from."""
    return row.run.name if row.run else friendly_name(row.candidate.run)


def live_parts(row: Released) -> list[Part]:
    """`● staging, production`, or nothing."""
    return [("● " + ", ".join(row.environments), "$ok")] if row.environments else []


def dirty_parts(row: Released, text: str) -> list[Part]:
    """A text that stands where the code was not committed."""
    return [(text, "$warn")] if row.run is not None and row.run.code.dirty else []


def parity_parts(row: Released) -> list[Part]:
    """The largest error and the rows of which it is: `4.2e-7 raw row 51`."""
    parity = row.candidate.parity
    if parity is None:
        return [("not exported", "$quiet")]
    if not parity.has_original:
        return [("no original", "$quiet")]
    where = f" {parity.worst_check}".rstrip()
    where += f" row {parity.worst_row}" if parity.worst_row >= 0 else ""
    error = number(parity.max_abs_error)
    shown: Part = error if parity.passed else (f"✗ {error}", "bold $fail")
    return [shown, (where, "$quiet")]


def _cells(row: Released, now: float) -> list[Cell]:
    item = row.candidate
    p99 = item.latency.get("p99_ms")
    return [
        [item.model],
        [(version_of(item), "bold" if item.version else "$info")],
        [run_name(row), *dirty_parts(row, "±")],
        [(ago(seconds_of(item.created), now), "$quiet")],
        gates_in_short(item.gates),
        parity_parts(row),
        [(size(item.size), "$quiet")],
        [(f"{number(p99)} ms" if p99 is not None else "–", "$quiet")],
        live_parts(row),
    ]


def _fitting(
    widths: Sequence[int], ranked: Sequence[int], least: Mapping[int, int], width: int
) -> dict[int, int]:
    """Which columns fit, by what matters most; those that may be cut get what room is left."""
    chosen: dict[int, int] = {}
    room = width
    for column in ranked:
        wanted = min(widths[column], least.get(column, widths[column])) + len(_GAP)
        if column == _PARITY:
            # What ranks below it gets only what it does not need.
            wanted = min(widths[column] + len(_GAP), max(wanted, room))
        if wanted <= room:
            chosen[column] = wanted - len(_GAP)
            room -= wanted
    wishes = (
        (_GATES, _COUNTED),
        *((column, widths[column]) for column in (_LIVE, _GATES)),
    )
    for column, most in wishes:
        if column in chosen:
            more = max(0, min(room, most - chosen[column]))
            chosen[column] += more
            room -= more
    return dict(sorted(chosen.items()))
