"""Environments and what they serve: a line each, and one of them in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from mlbench.domain.phrases import number, plural
from mlbench.domain.serving import CanaryState, ShadowState
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.empty import folded
from mlbench.tui.draw.lanes import bar
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, spread, widest
from mlbench.tui.served import (
    CANARY,
    LIVE,
    LOADED,
    SHADOW,
    SHARED,
    Served,
    canary_of,
    canary_on,
    shadow_of,
    shadow_on,
)
from mlbench.tui.serving_history import Place, Point

_SIGNS = {
    LIVE: ("●", "$ok"), SHARED: ("●", "$info"), CANARY: ("▸", "bold $warn"), SHADOW: ("◌", "$info"),
    LOADED: ("·", "$quiet"),
}  # fmt: skip
_VERDICTS = {"pass": ("✓", "$ok"), "fail": ("✗", "bold $fail"), "wait": ("·", "$quiet")}
_LATENCY = 8
_LABEL = 9

Points = Mapping[Place, Point]


class ServedTable:
    """Rows measured together; lines are drawn when they are seen."""

    def __init__(self, rows: Sequence[Served], points: Points, switching: Sequence[str]) -> None:
        """Show these rows with what passes through them; `switching` are starting or stopping."""
        self._rows, self._points, self._switching = rows, points, switching
        self._names = widest(_name(row) for row in rows if row.model)

    def row(self, index: int, width: int) -> Content:
        """One environment, or one version in it; figures give way to names."""
        row = self._rows[index]
        text, point = self._text(row), self._points.get(row.place)
        if not row.is_ready:
            return cell(text, width)
        figures = flow_parts(point, _LATENCY)
        while figures and text.cell_length + line(*figures).cell_length + 1 > width:
            del figures[-1]
        return spread(text, line(*figures), width)

    def _text(self, row: Served) -> Content:
        if not row.model:
            return self._environment(row)
        sign, style = _SIGNS[row.role] if row.is_ready else ("○", "$quiet")
        name = cell((_name(row), "bold" if row.is_ready else ""), self._names)
        return line("  ", (f"{sign} ", style), name, " ", (_role(row), "$quiet"))

    def _environment(self, row: Served) -> Content:
        status = row.environment.status
        sign: Part = ("○ ", "$quiet")
        if status.error:
            sign = ("✗ ", "bold $fail")
        elif row.is_ready:
            sign = ("● ", "$ok")
        return line(sign, (status.name, "bold"), "  ", (self._state(row), "$quiet"))

    def _state(self, row: Served) -> str:
        status = row.environment.status
        if status.name in self._switching:
            return "stopping …" if status.pid is not None else "starting …"
        if status.pid is None:
            return "down" if status.deployed else "serves nothing yet"
        # Where there is traffic that is what counts; the box below has the address.
        return "" if self._points.get(row.place) else f"port {status.port}"


def flow_parts(point: Point | None, room: int = 0) -> list[Part]:
    """`210/s 3 ms`: rate and p99, with the share of errors where there are any.

    Each in so many cells at least, so that they line up in a list.
    """
    if point is None or not point.rate:
        return []
    errors: list[Part] = [(f"✗{share(point.errors, point.rate)} ", "bold $fail")]
    return [
        *(errors if point.errors else []),
        (f"{rate(point.rate)}/s", "bold"),
        (f" {milliseconds(point.p99):>{room}}" if point.p99 is not None else "", "$quiet"),
    ]


def rate(value: float) -> str:
    """`0.5`, `12`, `210`, `1.2k`: three digits that matter."""
    if value >= 999.5:
        return f"{value / 1000:.1f}k" if value < 9950 else f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def milliseconds(seconds: float | None) -> str:
    """`0.42 ms`, `3.1 ms`, `210 ms`, `2.3 s`; a dash for none."""
    if seconds is None:
        return "–"
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    value = seconds * 1000
    digits = 0 if value >= 9.95 else 1 if value >= 0.995 else 2
    return f"{value:.{digits}f} ms"


def share(part: float, whole: float) -> str:
    """`0.4 %`, `12 %`: a part of a whole, nothing of nothing."""
    value = 100 * part / whole if whole else 0.0
    return f"{value:.1f} %" if value < 9.95 else f"{value:.0f} %"


def detail_lines(row: Served, width: int) -> list[Content]:
    """The server's state, and how canary and shadow of the model under the cursor stand."""
    status = row.environment.status
    lines = [*_error(status.error, width), *_labelled(_facts(row), width)]
    for model in [row.model] if row.model else sorted({**status.deployed, **status.serving}):
        canary, shadow = canary_of(row.environment, model), shadow_of(row.environment, model)
        if canary is not None:
            is_on = canary_on(row.environment, model) == canary.version
            steps = row.environment.deployment.canary.steps if row.environment.deployment else ()
            least = (
                row.environment.deployment.canary.min_requests if row.environment.deployment else 0
            )
            lines += [EMPTY, *canary_lines(canary, len(steps), least, width, is_on=is_on)]
        if shadow is not None and shadow_on(row.environment, model) == shadow.version:
            lines += [EMPTY, *shadow_lines(shadow, width)]
    return lines


def canary_lines(
    state: CanaryState, steps: int, least: int, width: int, *, is_on: bool
) -> list[Content]:
    """How far a canary is, its measures with their limits, and its verdict."""
    sign, style = {"passed": ("✓", "$ok"), "failed": ("✗", "bold $fail")}.get(
        state.verdict, ("▸", "bold $warn")
    )
    names = f"{state.model} v{state.version}"
    against = (f"  beside v{state.live}", "$quiet")
    lines = [cell(line(("Canary", "bold $info"), f"  {names}", against), width)]
    if state.verdict == "running" and is_on:
        gone = min(1.0, state.requests / least) if least else 0.0
        percent = f"{round(state.share * 100)} %"
        lines.append(line((f"{sign} ", style), f"step {state.step + 1} of {steps}, {percent}"))
        tail = line((f"  {state.requests} of {least} requests", "$quiet"))
        room = max(4, min(20, width - 2 - tail.cell_length))
        lines.append(cell(line("  ", bar(gone, room), tail), width))
    elif state.verdict == "running":
        lines.append(line(("– ended before it had a verdict", "$quiet")))
    else:
        lines.append(line((f"{sign} {state.verdict}", style)))
    lines += _wrapped(state.why, width, style if state.verdict == "failed" else "$quiet")
    room = widest(check.name for check in state.checks)
    for check in state.checks:
        mark, tone = _VERDICTS.get(check.verdict, ("·", "$quiet"))
        value = number(float(f"{check.value:.3g}")) if check.value is not None else "–"
        limit = f"  at most {number(check.limit)}" if check.limit is not None else ""
        said = line((f"{mark} ", tone), cell(check.name, room), f"  {value:>6}", (limit, "$quiet"))
        lines.append(cell(said, width))
        # The line with the bar says that already.
        if check.why and check.why != f"{state.requests} of {least} requests":
            lines += _wrapped(f"  {check.why}", width, "$quiet")
    return lines


def shadow_lines(state: ShadowState, width: int) -> list[Content]:
    """How a shadow's answers compare, and what it costs."""
    names = f"{state.model} v{state.version}"
    head = line(("Shadow", "bold $info"), f"  {names}", (f"  beside v{state.live}", "$quiet"))
    flips = "none"
    if state.flips:
        flips = f"{state.flips} ({share(state.flips, state.compared)})"
    rows = {
        "compared": plural(state.compared, "row"),
        "flips": flips if state.compared else "",
        "max error": number(float(f"{state.max_abs_error:.3g}")) if state.compared else "",
        "failed": str(state.failed) if state.failed else "",
        "left out": f"{state.dropped}, for want of idle capacity" if state.dropped else "",
        "copies": f"{round(state.share * 100)} %",
        "live p99": _p99_beside(state),
    }
    why = _wrapped(state.why, width, "$quiet")
    return [cell(head, width), *_labelled(rows, width), *why]


def _p99_beside(state: ShadowState) -> str:
    if state.p99_with is None or state.p99_without is None:
        return ""
    return f"{number(state.p99_with)} ms with, {number(state.p99_without)} ms without"


def _facts(row: Served) -> dict[str, str]:
    status, settings = row.environment.status, row.environment.settings
    if status.pid is None:
        return {"server": "down", "port": str(status.port)}
    workers = plural(len(status.workers), "worker") if status.workers else "up"
    restarts = f", {plural(status.restarts, 'restart')}" if status.restarts else ""
    return {
        "server": f"{workers}{restarts}",
        "address": status.address,
        "process": str(status.pid),
        "logs": _logs(settings.log_requests, with_inputs=settings.log_inputs),
    }


def _logs(part: float, *, with_inputs: bool) -> str:
    if not part:
        return "no requests"
    every = "every request" if part >= 1 else f"{100 * part:.3g} % of requests"
    return every if with_inputs else f"{every}, without inputs"


def _error(error: str, width: int) -> list[Content]:
    return _wrapped(f"✗ {error}", width, "bold $fail") if error else []


def _wrapped(text: str, width: int, style: str) -> list[Content]:
    return [line((piece.plain, style)) for piece in folded(safe(text), width)]


def _labelled(rows: Mapping[str, str], width: int) -> list[Content]:
    return [
        cell(line(cell((label, "$quiet"), _LABEL), "  ", text), width)
        for label, text in rows.items()
        if text
    ]


def _name(row: Served) -> str:
    return f"{row.model} v{row.version}"


def _role(row: Served) -> str:
    if row.role == SHADOW:
        return "shadow"
    if row.role == LOADED:
        return "by number"
    if row.share is None or (row.role == LIVE and row.share >= 1):
        return ""
    return f"{round(row.share * 100)} %{' canary' if row.role == CANARY else ''}"
