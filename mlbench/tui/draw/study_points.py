"""Trials as points on a sheet: a sign each, or dots where there are too many for signs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from textual.content import Content

from mlbench.tui.draw.lines import line
from mlbench.tui.draw.study_plot import Scale, Sheet
from mlbench.tui.draw.study_trials import ABOVE, BELOW, COMPLETE, INFEASIBLE, Scored, sign_of

Place = Callable[[Scored], float | None]
"""Where a point stands across, from 0 to 1; None where it has no place."""

_CROWD = 6
_RARE = 2


def draw_points(
    sheet: Sheet,
    points: Sequence[Scored],
    scale: Scale,
    best: Collection[int],
    selected: int | None,
    place: Place,
) -> None:
    """Each point at its place, the plain ones as dots where signs would hide each other.

    A value beyond the scale is an arrow at its edge; best and selected ones are always signs.
    """
    is_crowded = len(points) > max(1, sheet.width * sheet.height // _CROWD)
    place_up, low, high = scale.placing(), scale.low, scale.high
    for point in points:
        across = place(point)
        if across is None:
            continue
        up = place_up(point.value)
        sign, rank = sign_of(point, best, selected)
        if rank <= _RARE and not low <= point.value <= high:
            sign = (BELOW if point.value < low else ABOVE, "$warn")
        elif sign is INFEASIBLE and is_crowded:
            # In a crowd a ring stands only where no other trial does.
            rank = -1
        elif sign is COMPLETE and is_crowded:
            sheet.speck(across, up, COMPLETE[1], point.number)
            continue
        sheet.mark(across, up, sign, point.number, rank)


def beyond(points: Sequence[Scored], scale: Scale) -> list[Content]:
    """How many values lie outside of the scale, for a legend."""
    above = sum(point.value > scale.high for point in points)
    below = sum(point.value < scale.low for point in points)
    told = [(ABOVE, above, "above"), (BELOW, below, "below")]
    return [line((f"{sign} {count} {word}", "$warn")) for sign, count, word in told if count]
