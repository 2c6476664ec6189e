"""What the trials of a study tell, for `mlbench sweep NAME --show`.

`print_analysis(view, importances, out)` prints it all: counts, history or Pareto front, the best
trials, importances, a slice for each parameter that matters, and the curves.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import IO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mlbench.cli.sweep_best import best_trials_lines
from mlbench.cli.sweep_curves import curves_block
from mlbench.cli.sweep_marks import Lines, end_text, framed, mark_of, scaled
from mlbench.cli.sweep_plot import (
    BEST,
    BEST_CURVE,
    BEYOND,
    BROKEN,
    CUT,
    LINE,
    Mark,
    bar,
    fitted,
)
from mlbench.cli.sweep_slices import slice_blocks
from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import plural
from mlbench.domain.study_analysis import (
    FrontPoint,
    Importances,
    history,
    pareto,
    summary,
)
from mlbench.domain.study_axes import Axis, axis_over
from mlbench.domain.sweeps import StudyView, Sweep

_HISTORY_ROWS, _FRONT_ROWS = 9, 11
_WIDEST, _WITHOUT_TERMINAL = 160, 100
_NAME_WIDTH = 26
_SIGNS = {
    BEST: "bold green",
    BROKEN: "yellow",
    BEYOND: "yellow",
    LINE: "green",
    BEST_CURVE: "green",
    CUT: "yellow",
    "█": "cyan",
}


def print_analysis(view: StudyView, importances: Importances | None, out: IO[str]) -> None:
    """Everything that a study's trials tell, as wide as the terminal; `importances` if known."""
    is_terminal = out.isatty()
    console = Console(file=out, highlight=False, width=None if is_terminal else _WITHOUT_TERMINAL)
    width = min(_WIDEST, console.width)
    for at, block in enumerate(analysis_lines(view, importances, width)):
        if at:
            console.print()
        for row, line in enumerate(block):
            console.print(_painted(line, is_head=row == 0), no_wrap=True, crop=True)


def analysis_lines(view: StudyView, importances: Importances | None, width: int) -> list[Lines]:
    """The blocks one after the other, the first line of each its title; none wider than `width`."""
    blocks = _blocks(view, importances, width)
    return [[part for line in block for part in _within(line, width)] for block in blocks]


def _blocks(view: StudyView, importances: Importances | None, width: int) -> list[Lines]:
    sweep = view.study.sweep
    objective = _objective_of(sweep, importances)
    told = summary(view.trials, sweep.objectives)
    head = _counts(view)
    if not told.counts.get(TrialState.COMPLETE):
        return [[*head, "no trial is complete yet, so there is nothing to compare"]]
    if len(sweep.objectives) > 1:
        blocks = [head, _front_block(view, width)]
    else:
        blocks = [head, _history_block(view, width)]
    blocks.append(best_trials_lines(view, _order(sweep, importances), width))
    if importances is not None:
        blocks.append(_importance_block(importances, width))
    slices = slice_blocks(view, importances, _order(sweep, importances), objective, width)
    return [block for block in (*blocks, *slices, curves_block(view, width)) if block]


def _within(line: str, width: int) -> Lines:
    """Sentences and titles that are too long go on in the next line; plots never are."""
    if cell_len(line) <= width:
        return [line]
    return [fitted(part, width).rstrip() for part in textwrap.wrap(line, width)]


def _counts(view: StudyView) -> Lines:
    told = summary(view.trials, view.study.sweep.objectives)
    parts = [f"{count} {state.word}" for state in TrialState if (count := told.counts.get(state))]
    lines = [f"{view.study.name} ({view.study.id})", ", ".join(parts) or "no trials yet"]
    complete = told.counts.get(TrialState.COMPLETE, 0)
    broken = complete - told.feasible
    if broken:
        breaks = "breaks" if broken == 1 else "break"
        lines.append(f"{broken} of {complete} complete {breaks} a constraint")
    if view.best and told.since_better:
        lines.append(f"no better one for {plural(told.since_better, 'trial')}")
    return lines


def _history_block(view: StudyView, width: int) -> Lines:
    """Values over the trials in the order in which they ended, and the best so far."""
    wanted = view.study.sweep.objectives[0]
    points = history(view.trials, view.study.sweep.objectives)
    values = [point.value for point in points if point.value is not None]
    if not values:
        return []
    axis = scaled(axis_over(wanted.metric, values), values, wanted.direction)
    last = max(1, len(points) - 1)
    marks = []
    for column in range(width):
        # Every column has its piece of the line, however few trials there are.
        best = points[round(column / width * last)].best if len(points) > 1 else None
        if best is not None:
            marks.append(Mark(column / width, axis.place(best) or 0.0, LINE))
    for at, point in enumerate(points):
        if point.value is not None:
            is_best = point.number in view.best
            marks.append(mark_of(at / last, point.value, axis, is_best, point.is_feasible))
    ends = (f"{points[0].number}", f"{points[-1].number}")
    title = f"{wanted.metric} by trial, in the order in which they ended"
    drawn = framed(marks, axis, width, _HISTORY_ROWS, ends)
    return [*_titled(title, _legend(marks), width), *drawn]


def _front_block(view: StudyView, width: int) -> Lines:
    """The first two objectives against each other."""
    first, second = view.study.sweep.objectives[:2]
    points = pareto(view.trials, view.study.sweep.objectives)
    if not points:
        return []
    xs, ys = [point.x for point in points], [point.y for point in points]
    x_axis = scaled(axis_over(first.metric, xs), xs, first.direction)
    y_axis = scaled(axis_over(second.metric, ys), ys, second.direction)
    marks = [_front_mark(point, x_axis, y_axis) for point in points]
    title = f"{second.text} (upwards), {first.text} (to the right)"
    ends = (end_text(x_axis, 0), end_text(x_axis, 1))
    drawn = framed(marks, y_axis, width, _FRONT_ROWS, ends)
    return [*_titled(title, _legend(marks, "★ Pareto front"), width), *drawn]


def _front_mark(point: FrontPoint, x_axis: Axis, y_axis: Axis) -> Mark:
    mark = mark_of(0, point.y, y_axis, point.is_on_front, point.is_feasible)
    x = x_axis.place(point.x)
    inside = min(x_axis.high, max(x_axis.low, point.x))
    return Mark(x_axis.place(inside) or 0.0, mark.y, mark.sign if x is not None else BEYOND)


def _importance_block(importances: Importances, width: int) -> Lines:
    if not importances.shares:
        return [f"What matters for {importances.metric}", importances.because]
    name_width = min(_NAME_WIDTH, max(map(cell_len, importances.shares)))
    room = max(4, min(60, width - name_width - 9))
    how = f"{importances.evaluator}, {plural(importances.trials, 'trial')}"
    return [
        f"What matters for {importances.metric}   {how}",
        *(
            f"{fitted(name, name_width)}  {f'{100 * share:.0f}':>3} %  {bar(share, room)}"
            for name, share in importances.shares.items()
        ),
    ]


def _titled(title: str, legend: str, width: int) -> Lines:
    """The legend beside the title, or below it where there is no room."""
    beside = f"{title}   {legend}".rstrip()
    if cell_len(beside) <= width:
        return [beside]
    return [fitted(part, width).rstrip() for part in (title, legend)]


def _legend(marks: Sequence[Mark], best: str = "★ best") -> str:
    words = {
        BEST: best,
        LINE: "─ best so far",
        BROKEN: "× breaks a constraint",
        BEYOND: "▾ beyond the scale",
    }
    there = {mark.sign for mark in marks}
    return "  ".join(word for sign, word in words.items() if sign in there)


def _objective_of(sweep: Sweep, importances: Importances | None) -> int:
    metrics = [objective.metric for objective in sweep.objectives]
    named = importances.metric if importances is not None else ""
    return metrics.index(named) if named in metrics else 0


def _order(sweep: Sweep, importances: Importances | None) -> list[str]:
    """The parameters, those that matter most first."""
    shares = importances.shares if importances is not None else {}
    return sorted(
        (dimension.name for dimension in sweep.space), key=lambda name: -shares.get(name, 0.0)
    )


def _painted(line: str, *, is_head: bool) -> Text:
    text = Text(line, style="bold" if is_head else "")
    for sign, style in _SIGNS.items():
        text.highlight_words([sign], style)
    return text
