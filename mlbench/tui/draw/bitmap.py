"""A small picture of one channel in half blocks, two rows of it a line."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.tui.draw.lines import Part, line

_DARK, _LIGHT = 24, 244
_SIDE = 16


def bitmap_lines(values: Sequence[float], height: int, width: int, room: int) -> list[Content]:
    """Rows of greys from the least value, dark, to the greatest; magnified as `room` allows.

    Greys are told apart without colours too. A constant picture is dark.
    """
    times = max(1, min(max(_SIDE, width) // width, room // width))
    low, high = min([*values, 0.0]), max(values, default=0.0)
    span = high - low or 1.0
    shades = [round(_DARK + (_LIGHT - _DARK) * (value - low) / span) for value in values]
    rows = [
        [shades[row * width + column] for column in range(width) for _ in range(times)]
        for row in range(height)
        for _ in range(times)
    ]
    if len(rows) % 2:
        rows.append([_DARK] * len(rows[0]))
    return [
        line(*_blocks(upper, lower)) for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]


def _blocks(upper: Sequence[int], lower: Sequence[int]) -> list[Part]:
    """Neighbouring cells of the same two greys as one part."""
    parts: list[Part] = []
    pairs = list(zip(upper, lower, strict=True))
    start = 0
    for at in range(1, len(pairs) + 1):
        if at == len(pairs) or pairs[at] != pairs[start]:
            over, under = (f"#{shade:02x}{shade:02x}{shade:02x}" for shade in pairs[start])
            parts.append(("▀" * (at - start), f"{over} on {under}"))
            start = at
    return parts
