"""An objective over each parameter that matters; pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlbench.cli.sweep_marks import Lines, end_text, framed, mark_of, scaled
from mlbench.cli.sweep_plot import fitted, plain, right_cell, spread, strip
from mlbench.domain.study_analysis import Chart, Importances, PlacedTrial, chart
from mlbench.domain.study_axes import Axis, value_text
from mlbench.domain.sweeps import StudyView

_SLICE_ROWS = 6
_MOST_SLICES = 4
_TWO_ABREAST, _GAP = 110, 4
_NAME_WIDTH = 26
_MATTERS = 0.02


def slice_blocks(
    view: StudyView,
    importances: Importances | None,
    order: Sequence[str],
    objective: int,
    width: int,
) -> list[Lines]:
    """A block for each parameter that matters, in this order; two abreast where there is room."""
    sweep = view.study.sweep
    shares = importances.shares if importances is not None else {}
    names = [name for name in order if not shares or shares.get(name, 0.0) >= _MATTERS][
        :_MOST_SLICES
    ]
    each = (width - _GAP) // 2 if width >= _TWO_ABREAST else width
    blocks = [
        block
        for name in names
        if (block := _slice_block(chart(view.trials, sweep, [name], objective), view, each))
    ]
    if each == width:
        return blocks
    pairs = [blocks[at : at + 2] for at in range(0, len(blocks), 2)]
    return [_beside(pair, each) for pair in pairs]


def _slice_block(shown: Chart, view: StudyView, width: int) -> Lines:
    axis, values = shown.axes[0], [trial.value for trial in shown.trials]
    if len({trial.places[0] for trial in shown.trials}) < 2:
        return []
    direction = next(
        each.direction for each in view.study.sweep.objectives if each.metric == shown.values.name
    )
    up = scaled(shown.values, values, direction)
    if axis.categories:
        return _categories(shown, up, view, width)
    marks = [
        mark_of(
            trial.places[0] or 0.0, trial.value, up, trial.number in view.best, trial.is_feasible
        )
        for trial in shown.trials
    ]
    ends = (end_text(axis, 0), end_text(axis, 1))
    title = f"{up.name} by {axis.name}{' (log)' if axis.is_log else ''}"
    return [fitted(title, width).rstrip(), *framed(marks, up, width, _SLICE_ROWS, ends)]


def _categories(shown: Chart, across: Axis, view: StudyView, width: int) -> Lines:
    """A line for each choice, its trials on it by their values."""
    axis = shown.axes[0]
    labels = [plain(value_text(value)) for value in axis.categories]
    name_width = min(_NAME_WIDTH, width // 3, max(map(len, labels)))
    room = max(4, width - name_width - 7)
    lines = [fitted(f"{across.name} by {axis.name}", width).rstrip()]
    for value, label in zip(axis.categories, labels, strict=True):
        place = axis.place(value)
        there = [trial for trial in shown.trials if trial.places[0] == place]
        drawn = strip((_on_line(trial, across, view) for trial in there), room)
        lines.append(f"{fitted(label, name_width)}  {drawn} {right_cell(f'{len(there)}', 4)}")
    ends = spread((end_text(across, 0), end_text(across, 1)), room)
    return [*lines, f"{' ' * (name_width + 2)}{ends}"]


def _on_line(trial: PlacedTrial, across: Axis, view: StudyView) -> tuple[float, str]:
    is_best = trial.number in view.best
    mark = mark_of(0, trial.value, across, is_best, trial.is_feasible)
    return mark.y, mark.sign


def _beside(blocks: Sequence[Lines], width: int) -> Lines:
    height = max(map(len, blocks))
    padded = [[*block, *[""] * (height - len(block))] for block in blocks]
    return [
        (" " * _GAP).join(fitted(part, width) for part in row).rstrip()
        for row in zip(*padded, strict=True)
    ]
