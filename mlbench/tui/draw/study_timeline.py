"""When each trial ran, a line for each of the places at which trials run at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from textual.content import Content

from mlbench.domain.phrases import duration, plural
from mlbench.domain.sweeps import StudyView, Trial
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.study_plot import Chart, Look, boxed, head_lines, said
from mlbench.tui.draw.study_trials import BEST, SELECTED

_LABEL = 3
_LEAST_SPAN = 1e-3
_BAR = "━"
Span = tuple[float, float]
"""From and to, in seconds since the epoch."""


def timeline_chart(view: StudyView, look: Look) -> Chart:
    """Each trial from its beginning, with its sign, to its end; running ones go on to now."""
    begun = [
        (trial, seconds_of(trial.started), seconds_of(trial.ended) if trial.ended else None)
        for trial in view.trials
        if trial.started
    ]
    if not begun:
        return said("No trial has begun.", look)
    first = min(start for _, start, _ in begun)
    last = max(first + _LEAST_SPAN, *(end or start for _, start, end in begun))
    spans = [(trial, (start, last if end is None else end)) for trial, start, end in begun]
    slots = sorted({trial.slot for trial, _ in spans})
    spent = sum(trial.seconds for trial, _ in spans)
    head = head_lines(
        line(
            (plural(len(begun), "trial"), "bold"),
            (f" in {duration(last - first)}, {duration(spent)} of their stages' own", "$quiet"),
        ),
        [line(BEST, (" best", "$quiet"))] if view.best else [],
        look,
    )
    width = max(1, look.width - _LABEL)
    room = max(1, look.height - len(head) - 1)
    # Each slot gets as many lines as there are, for its time to be drawn larger.
    folds = max(1, min(room // len(slots), -(-len(begun) // max(1, len(slots)) * 3 // width)))
    lines: list[Content] = list(head)
    spots: dict[tuple[int, int], int] = {}
    each = (last - first) / folds
    for fold in range(folds):
        for slot in slots:
            span = (first + fold * each, first + (fold + 1) * each)
            some = [
                item
                for item in spans
                if item[0].slot == slot and item[1][1] >= span[0] and item[1][0] <= span[1]
            ]
            cells = _cells(some, span, width, set(view.best[:1]), look.selected)
            spots |= {(_LABEL + at, len(lines)): number for at, (_, number) in cells.items()}
            signs = (cells[at][0] if at in cells else (" ", "") for at in range(width))
            lines.append(line((f"{slot:<{_LABEL}}", "$quiet"), *_runs(signs)))
    ends = line(("0", "$quiet")), line((duration(last - first), "$quiet"))
    gap = max(1, width - ends[0].cell_length - ends[1].cell_length)
    lines = lines[: max(1, look.height - 1)]
    lines.append(line(" " * _LABEL, ends[0], " " * gap, ends[1]))
    return boxed(lines, look, spots)


def _runs(signs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Neighbours of one style as one part: each part takes the screen time."""
    for style, run in groupby(signs, key=itemgetter(1)):
        yield "".join(sign for sign, _ in run), style


def _cells(
    trials: Sequence[tuple[Trial, Span]],
    span: Span,
    width: int,
    best: set[int],
    selected: int | None,
) -> dict[int, tuple[tuple[str, str], int]]:
    """The sign in each cell of a line, and whose it is."""
    found: dict[int, tuple[tuple[str, str], int]] = {}
    scale = (width - 1) / (span[1] - span[0])
    for trial, ends in trials:
        left, right = (round((min(max(at, span[0]), span[1]) - span[0]) * scale) for at in ends)
        sign = (trial.state.glyph, f"${trial.state.colour}")
        if trial.number in best:
            sign = BEST
        if trial.number == selected:
            sign = SELECTED
        for at in range(left + 1, right):
            found[at] = ((_BAR, sign[1]), trial.number)
        # The best and the selected one are seen even where others begin in the same cell.
        if ends[0] >= span[0] and (left not in found or found[left][0] not in (BEST, SELECTED)):
            found[left] = (sign, trial.number)
    return found
