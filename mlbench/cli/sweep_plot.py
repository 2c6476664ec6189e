"""Small plots of text: a sign a trial in a frame, with what stands at its ends; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from mlbench.domain.study_axes import Axis

BEST, GOOD, BROKEN, BEYOND, LINE = "★", "•", "×", "▾", "─"
BEST_CURVE, CURVE, CUT = "━", "·", "✂"
# Of several in a cell the one that tells most is seen.
_RANKS = {LINE: 0, BEYOND: 1, BROKEN: 2, GOOD: 3, BEST: 4, CURVE: 0, CUT: 1, BEST_CURVE: 2}
_FENCE = 3.0
_FEW = 8


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign at a place: 0 to 1 from left to right and from below."""

    x: float
    y: float
    sign: str


def plot_lines(
    marks: Iterable[Mark],
    width: int,
    height: int,
    *,
    y_ends: tuple[str, str],
    x_ends: tuple[str, str],
    margin: int = 0,
) -> list[str]:
    """A frame of `height` rows and one of labels, `width` cells in all.

    `y_ends` stand at the left, below first, in `margin` cells or as many as they need.
    """
    margin = max(margin, *map(cell_len, y_ends))
    columns = max(1, width - margin - 2)
    cells = [[" "] * columns for _ in range(height)]
    for mark in marks:
        row = height - 1 - _cell(mark.y, height)
        column = _cell(mark.x, columns)
        if _RANKS[mark.sign] >= _RANKS.get(cells[row][column], -1):
            cells[row][column] = mark.sign
    low, high = y_ends
    labels = [high, *[""] * (height - 2), low]
    rows = [
        f"{right_cell(label, margin)} {'┤' if label else '│'}{''.join(row).rstrip()}"
        for label, row in zip(labels, cells, strict=True)
    ]
    return [*rows, f"{' ' * (margin + 2)}{spread(x_ends, columns)}"]


def strip(marks: Iterable[tuple[float, str]], width: int) -> str:
    """Signs on one line between two uprights, each at its place between 0 and 1."""
    width = max(1, width - 2)
    cells = [" "] * width
    for place, sign in marks:
        at = _cell(place, width)
        if _RANKS[sign] >= _RANKS.get(cells[at], -1):
            cells[at] = sign
    return f"│{''.join(cells)}│"


def bar(share: float, width: int) -> str:
    """A bar as long as a share of the width, in eighths of a cell; never quite nothing."""
    eighths = max(1, round(share * width * 8)) if share > 0 else 0
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


def scale_of(axis: Axis, values: Sequence[float], *, is_less_better: bool) -> Axis:
    """The axis of these values without the worst of them, where these leave no room for the rest.

    What is better is never left out: an end is moved to the fence, three times the distance
    between the quartiles beyond the worse one.
    """
    if len(values) < _FEW:
        return axis
    ordered = sorted(values)
    lower, upper = ordered[len(ordered) // 4], ordered[len(ordered) * 3 // 4]
    # Halved first: the difference of two finite floats may overflow.
    room = (upper / 2 - lower / 2) * _FENCE * 2
    if not room > 0:
        return axis
    if is_less_better:
        return Axis(axis.name, axis.low, min(axis.high, upper + room))
    return Axis(axis.name, max(axis.low, lower - room), axis.high)


def spread(ends: tuple[str, str], width: int) -> str:
    """One text at the left, one at the right."""
    left, right = ends
    gap = max(1, width - cell_len(left) - cell_len(right))
    return fitted(f"{left}{' ' * gap}{right}", width).rstrip()


def fitted(text: str, width: int) -> str:
    """The text in exactly so many cells, what is cut off shown by an ellipsis."""
    if cell_len(text) > width:
        text = f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"
    return set_cell_size(text, width)


def right_cell(text: str, width: int) -> str:
    """The text at the right end of so many cells."""
    return " " * (width - cell_len(text)) + text


def plain(text: str) -> str:
    """A text on one line that no terminal takes for orders."""
    return "".join(sign if sign.isprintable() else "·" for sign in text)


def _cell(place: float, count: int) -> int:
    return min(count - 1, max(0, round(place * (count - 1))))
