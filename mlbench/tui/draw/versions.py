"""Two versions of a model side by side, differences first."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.comparison import ComparedRow
from mlbench.domain.runs import Scalar
from mlbench.tui.draw.gates import gates_in_short
from mlbench.tui.draw.lines import EMPTY, Part, cell, line
from mlbench.tui.draw.releases import live_parts, parity_parts, run_name
from mlbench.tui.draw.series import letter, style_of
from mlbench.tui.reading import Released
from mlbench.tui.words import arrow, scalar, version_of

TITLES = {
    "metrics": "Metrics",
    "exported": "Metrics of the exported model",
    "gates": "Gates",
    "parity": "Parity",
    "size": "Size and latency",
    "params": "Parameters",
    "facts": "Facts",
}
_GAP = "  "
_CHANGE = 12
_LEAST_FOR_CHANGE = 56
_NONE = "–"


def versions_lines(
    sides: tuple[Released, Released],
    rows: Sequence[ComparedRow],
    width: int,
    *,
    only_differences: bool = False,
) -> list[Content]:
    """A head for both, then kind after kind: name, both values, and by how much it changed."""
    has_change = width >= _LEAST_FOR_CHANGE
    name = max(10, min(34, width // 3))
    value = max(6, (width - name - 2 * len(_GAP) - (_CHANGE + 2 if has_change else 0)) // 2)

    def row(label: Part, values: Sequence[Part], end: Part = "") -> Content:
        cells = [part for shown in values for part in (_GAP, cell(shown, value))]
        tail = (_GAP, cell(end, _CHANGE)) if has_change else ()
        return line(cell(label, name), *cells, *tail)

    lines = [
        row("", [_named(index, side) for index, side in enumerate(sides)]),
        row(("run", "$quiet"), [run_name(side) for side in sides]),
        row(("live in", "$quiet"), [line(*(live_parts(side) or [_NONE])) for side in sides]),
        row(("gates", "$quiet"), [line(*gates_in_short(side.candidate.gates)) for side in sides]),
        row(("parity", "$quiet"), [line(*parity_parts(side)) for side in sides]),
    ]
    for kind, title in TITLES.items():
        found = [item for item in rows if item.kind == kind]
        shown = [item for item in found if item.differs or not only_differences]
        if not found:
            continue
        count = sum(item.differs for item in found)
        said = f"  {count} of {len(found)} differ" if count else f"  all {len(found)} same"
        lines += [EMPTY, cell(line((title, "bold $info"), (said, "$quiet")), width)]
        for item in shown:
            style = "bold" if item.differs else "$quiet"
            changed = item.change if item.differs else None
            end = arrow(changed) if changed is not None else ""
            values: list[Part] = [(_shown(each), style) for each in item.values]
            lines.append(row((item.name, "" if item.differs else "$quiet"), values, end))
    return lines


def _named(index: int, side: Released) -> Part:
    sign = (f"{letter(index)} ", f"bold {style_of(index)}")
    return line(sign, (f"{side.candidate.model} {version_of(side.candidate)}", "bold"))


def _shown(value: Scalar) -> str:
    return _NONE if value is None else scalar(value)
