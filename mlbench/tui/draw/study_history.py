"""Optimization history: every trial's value by its number, and the best so far as steps."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import number, plural
from mlbench.domain.sweeps import MAXIMIZE, Objective, StudyView, Trial
from mlbench.tui.draw.lines import Part, line
from mlbench.tui.draw.study_plot import (
    Chart,
    Frame,
    Look,
    Scale,
    Sheet,
    framed,
    head_lines,
    said,
    scale_over,
    sheet_for,
)
from mlbench.tui.draw.study_points import beyond, draw_points
from mlbench.tui.draw.study_trials import (
    BEST,
    Scored,
    best_scored,
    better,
    legend_of,
    scored,
)

_BEST_LINE = "$ok"
_RUG = (
    TrialState.WAITING, TrialState.LOST, TrialState.PRUNED, TrialState.FAILED, TrialState.RUNNING,
)  # fmt: skip
Step = tuple[int, float]
"""From this trial on, this is the best value."""


def history_chart(view: StudyView, objective: int, look: Look) -> Chart:
    """Values by trial; trials without a value stand below by their states' signs."""
    sweep = view.study.sweep
    wanted = sweep.objectives[objective]
    points = scored(view.trials, objective)
    steps = best_so_far(points, wanted)
    scale = scale_over(
        (point.value for point in points), (value for _, value in steps), is_log=look.is_log
    )
    if scale is None:
        return said(_nothing_yet(view), look)
    last = max(trial.number for trial in view.trials)
    best = best_scored(points, wanted)
    frame = Frame(
        _head(view, points, best, wanted, scale, look),
        scale,
        left=("0", "$quiet"),
        middle=("trial", "$quiet"),
        right=(str(last), "$quiet"),
    )
    sheet = sheet_for(frame, look, below=1)
    _draw_best(sheet, steps, scale, last)
    chosen = (best.number,) if best else ()
    draw_points(
        sheet, points, scale, chosen, look.selected, lambda point: point.number / max(1, last)
    )
    return framed(frame, sheet, look, [rug(view.trials, last, sheet.width, look.selected)])


def best_so_far(points: Sequence[Scored], objective: Objective) -> list[Step]:
    """Each trial that was better than all before it and held the constraints, with its value."""
    turn = 1 if objective.direction == MAXIMIZE else -1
    steps: list[Step] = []
    for point in points:
        is_better = not steps or turn * point.value > turn * steps[-1][1]
        if is_better and point.is_feasible:
            steps.append((point.number, point.value))
    return steps


def rug(trials: Sequence[Trial], last: int, width: int, selected: int | None) -> Content:
    """One line with the signs of the trials that have no value, below where they would stand."""
    found: dict[int, tuple[int, tuple[str, str]]] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            continue
        at = round(trial.number / max(1, last) * (width * 2 - 1)) // 2
        style = f"${trial.state.colour}"
        rank, style = (
            (9, f"{style} bold reverse")
            if trial.number == selected
            else (_RUG.index(trial.state), style)
        )
        if at not in found or found[at][0] <= rank:
            found[at] = (rank, (trial.state.glyph, style))
    return line(*(found[at][1] if at in found else " " for at in range(width)))


def _draw_best(sheet: Sheet, steps: Sequence[Step], scale: Scale, last: int) -> None:
    """The best so far, level until a better one came."""
    if not steps:
        return
    corners = [(first / max(1, last), scale.share(value)) for first, value in steps]
    for place, (across, up) in enumerate(corners):
        start = sheet.at(across, up)
        end = sheet.at(corners[place + 1][0] if place + 1 < len(corners) else 1.0, up)
        sheet.stroke(start, end, _BEST_LINE)
        if place + 1 < len(corners):
            sheet.stroke(end, sheet.at(*corners[place + 1]), _BEST_LINE)


def _head(
    view: StudyView,
    points: Sequence[Scored],
    best: Scored | None,
    objective: Objective,
    scale: Scale,
    look: Look,
) -> list[Content]:
    parts: list[Part] = [(objective.metric, "bold"), "  "]
    if best is None:
        parts += [("no trial holds the constraints", "$warn")]
    else:
        parts += [BEST, f" {number(best.value)}", (f" in trial {best.number}", "$quiet")]
    parts += [(f"  {better(objective)}", "$quiet"), (" log" if scale.is_log else "", "$quiet")]
    return head_lines(line(*parts), [*beyond(points, scale), *legend_of(view, points)], look)


def _nothing_yet(view: StudyView) -> str:
    if not view.trials:
        return "No trial has begun."
    failed = sum(trial.state is TrialState.FAILED for trial in view.trials)
    if failed == len(view.trials):
        return f"{plural(failed, 'trial')} failed, and no other has begun."
    return "No trial has a value yet."
