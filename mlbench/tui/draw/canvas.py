"""A canvas of braille dots, two by four in a cell, that remembers whose dots a cell has.

Signs of a whole cell can be put over the dots.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.tui.draw.lines import Part, line

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800


class Canvas:
    """Dots by column and level; level 0 is the lowest. What is drawn later colours its cells."""

    def __init__(self, width: int, height: int) -> None:
        """So many cells wide and high; at least one each."""
        self.width, self.height = max(1, width), max(1, height)
        self._bits = [[0] * self.width for _ in range(self.height)]
        self._styles = [[""] * self.width for _ in range(self.height)]
        self._signs: dict[tuple[int, int], tuple[str, str]] = {}

    @property
    def columns(self) -> int:
        """How many dots stand side by side."""
        return self.width * 2

    @property
    def levels(self) -> int:
        """How many dots stand above each other."""
        return self.height * 4

    def dot(self, column: int, level: int, style: str) -> None:
        """Draw one dot; those outside are left out."""
        if not (0 <= column < self.columns and 0 <= level < self.levels):
            return
        row = self.levels - 1 - level
        self._bits[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
        self._styles[row // 4][column // 2] = style

    def put(self, column: int, level: int, sign: str, style: str) -> None:
        """Put a sign of one cell over the dots of the cell in which this dot is."""
        if 0 <= column < self.columns and 0 <= level < self.levels:
            self._signs[(self.levels - 1 - level) // 4, column // 2] = (sign, style)

    def clear(self, column: int, row: int) -> None:
        """Take the sign of a cell away, counted from the upper left corner; its dots stay."""
        self._signs.pop((row, column), None)

    def upright(self, column: int, low: int, high: int, style: str) -> None:
        """Draw every dot of a column between two levels, both included."""
        for level in range(low, high + 1):
            self.dot(column, level, style)

    def stroke(self, start: tuple[int, int], end: tuple[int, int], style: str) -> None:
        """Draw a straight line between two dots, each (column, level), without holes."""
        (left, low), (right, high) = sorted((start, end))
        span = right - left
        previous = low
        for column in range(left, right + 1):
            level = low + round((high - low) * (column - left) / span) if span else high
            self.upright(column, min(previous, level), max(previous, level), style)
            previous = level

    def rows(self) -> list[Content]:
        """The lines from top to bottom."""
        return [
            line(*_parts(bits, styles, [self._signs.get((row, at)) for at in range(self.width)]))
            for row, (bits, styles) in enumerate(zip(self._bits, self._styles, strict=True))
        ]


def _parts(
    bits: Sequence[int], styles: Sequence[str], signs: Sequence[tuple[str, str] | None]
) -> list[Part]:
    """Neighbouring cells of one style as one part."""
    parts: list[Part] = []
    text, current = "", ""
    for value, drawn, sign in zip(bits, styles, signs, strict=True):
        # An empty cell looks the same in any colour: where it takes its neighbour's there are fewer
        # parts, each of which takes the screen time.
        style = sign[1] if sign else drawn if value else current
        if style != current and text:
            parts.append((text, current) if current else text)
            text = ""
        current = style
        text += sign[0] if sign else chr(_BLANK + value) if value else " "
    parts.append((text, current) if current else text)
    return parts
