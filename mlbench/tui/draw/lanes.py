"""The stages as a graph in lanes: each under what it waits for longest, one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual.content import Content

from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.phrases import clock, duration
from mlbench.tui.board import Phase, StageView
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import Part, cell, line, widest
from mlbench.tui.draw.reasons import in_short

RUNNING_GLYPH, WAITING_GLYPH = "↻", "·"
_BAR_WIDTH = 6
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Lane:
    """A stage's place in the graph: the lines drawn before it, and its name."""

    branch: str
    name: str


def lanes(needs: Mapping[str, Sequence[str]]) -> tuple[Lane, ...]:
    """Every stage once, each below one that it needs; `needs` is in topological order.

    Of several needs the last in order is the one it waits for longest.
    """
    place = {name: index for index, name in enumerate(needs)}
    children: dict[str | None, list[str]] = {}
    for name, before in needs.items():
        known = [other for other in before if other in place]
        parent = max(known, key=place.__getitem__, default=None)
        children.setdefault(parent, []).append(name)
    drawn: list[Lane] = []
    pending = [(name, "", "") for name in reversed(children.get(None, []))]
    while pending:
        name, branch, below = pending.pop()
        drawn.append(Lane(branch, name))
        under = children.get(name, [])
        for index, child in reversed(list(enumerate(under))):
            is_last = index == len(under) - 1
            deeper = below if len(below) < 2 * _DEEPEST else below[2:]
            fork, pipe = ("└─", "  ") if is_last else ("├─", "│ ")
            pending.append((child, deeper + fork, deeper + pipe))
    return tuple(drawn)


def bar(share: float, width: int) -> Content:
    """A progress bar of so many cells: `━━━━╸───`."""
    halves = round(min(1.0, max(0.0, share)) * width * 2)
    full, half = divmod(halves, 2)
    half = half if full < width else 0
    rest = width - full - half
    return line(("━" * full + "╸" * half, "$info"), ("─" * rest, "$quiet"))


def stage_sign(stage: StageView) -> tuple[str, str]:
    """The glyph of a stage and its style."""
    if stage.phase is Phase.RUNNING:
        return RUNNING_GLYPH, "bold $info"
    if stage.phase is Phase.WAITING:
        return WAITING_GLYPH, "$quiet"
    shown = stage.outcome or stage.state
    return (shown.glyph, f"${shown.colour}") if shown else (WAITING_GLYPH, "$quiet")


def stage_lines(
    stages: Sequence[StageView], drawn: Sequence[Lane], width: int, now: float
) -> list[Content]:
    """One line a lane: branch, glyph, name, outcome or progress, and the reason in short."""
    views = {stage.name: stage for stage in stages}
    names = widest(lane.branch + "  " + lane.name for lane in drawn)
    left = min(names, max(12, width // 2))
    rows = []
    for lane in drawn:
        stage = views[lane.name]
        name_style = "bold" if stage.phase is Phase.RUNNING else ""
        head = line((lane.branch, "$quiet"), stage_sign(stage)[0:2], " ", (lane.name, name_style))
        rows.append(
            line(cell(head, left), "  ", cell(_standing(stage, views, now), width - left - 2))
        )
    return rows


def _standing(stage: StageView, views: Mapping[str, StageView], now: float) -> Content:
    reason: Part = (f"  {in_short(stage.because)}", "$quiet")
    if stage.phase is Phase.RUNNING:
        elapsed = now - (stage.started or now)
        progress: list[Part] = []
        if stage.usual_seconds:
            progress = [bar(elapsed / stage.usual_seconds, _BAR_WIDTH), " "]
        return line(*progress, (clock(elapsed), "bold"), reason)
    if stage.phase is Phase.WAITING:
        return line((_waits_for(stage, views), "$quiet"))
    if stage.outcome is StageOutcome.RAN:
        if stage.tests is not None:
            counted = f"{stage.tests.passed} of {stage.tests.total} passed"
            return line(counted, reason)
        return line(f"ran {duration(stage.seconds)}", reason)
    if stage.outcome is StageOutcome.FAILED:
        return line(("failed", "bold $fail"), (f"  {safe(stage.message)}", "$fail"))
    if stage.outcome is not None:
        return line((stage.outcome.word, f"${stage.outcome.colour}"))
    if stage.state is StageState.FRESH or stage.state is None:
        return line(("fresh" if stage.state else "", "$quiet"))
    short = in_short(stage.reasons)
    return line((stage.state.word, f"${stage.state.colour}"), (f"  {short}", "$quiet"))


def _waits_for(stage: StageView, views: Mapping[str, StageView]) -> str:
    unready = [
        name
        for name in stage.needs
        if name in views and views[name].phase in (Phase.WAITING, Phase.RUNNING)
    ]
    return f"after {unready[-1]}" if unready else "waits for a free job"
