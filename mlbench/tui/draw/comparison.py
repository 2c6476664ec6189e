"""Two runs side by side: parameters and metrics, differences first."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from mlbench.domain.runs import Run
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.lines import EMPTY, Part, cell, line
from mlbench.tui.words import arrow, duration, moment, scalar

_GAP = "  "


def comparison(older: Run, newer: Run, width: int) -> list[Content]:
    """The whole page, one line each; equal values are quiet."""
    is_wide = width >= 60
    name_width = max(10, min(32, width // 3))
    value_width = max(6, min(28, (width - name_width - (16 if is_wide else 4)) // 2))

    def row(name: Part, left: Part, right: Part, end: Part = "") -> Content:
        return line(
            cell(name, name_width),
            _GAP,
            cell(left, value_width),
            _GAP,
            cell(right, value_width),
            end,
        )

    def section(
        title: str, left: Mapping[str, object], right: Mapping[str, object]
    ) -> list[Content]:
        names = list(dict.fromkeys((*left, *right)))
        different = [name for name in names if left.get(name) != right.get(name)]
        equal = [name for name in names if name not in different]
        counted = f"  {len(different)} of {len(names)} differ" if names else "  none"
        lines = [EMPTY, line((title, "bold $info"), (counted, "$quiet"))]
        for name in different:
            was, now = left.get(name), right.get(name)
            lines.append(
                row(
                    ("≠ " + name, "bold"),
                    _shown(was),
                    _shown(now),
                    _moved(was, now) if is_wide else "",
                )
            )
        for name in equal:
            value = (_shown(left[name]), "$quiet")
            lines.append(row((f"  {name}", "$quiet"), value, value))
        return lines

    facts = [
        ("started", moment(seconds_of(older.started)), moment(seconds_of(newer.started))),
        ("took", duration(older.seconds), duration(newer.seconds)),
        ("commit", _commit(older), _commit(newer)),
        ("origin", f"{older.origin} by {older.by}", f"{newer.origin} by {newer.by}"),
    ]
    return [
        row("", (older.name, "bold"), (newer.name, "bold")),
        row(("outcome", "$quiet"), _outcome(older), _outcome(newer)),
        *(row((name, "$quiet"), left, right) for name, left, right in facts),
        *section("Parameters", older.params, newer.params),
        *section("Metrics", older.metrics, newer.metrics),
    ]


def _outcome(run: Run) -> Part:
    if run.outcome is None:
        return "running"
    return (f"{run.outcome.glyph} {run.outcome.word}", f"${run.outcome.colour}")


def _commit(run: Run) -> str:
    dirty = " ±" + str(run.code.changed_files) if run.code.dirty else ""
    return f"{(run.code.commit or 'no git')[:8]}{dirty}"


def _shown(value: object) -> str:
    return "–" if value is None else scalar(value)


def _moved(was: object, now: object) -> Part:
    numbers = (int, float)
    if isinstance(was, bool) or isinstance(now, bool):
        return ""
    if isinstance(was, numbers) and isinstance(now, numbers):
        return (f"{_GAP}{arrow(now - was)}", "$info")
    return ""
