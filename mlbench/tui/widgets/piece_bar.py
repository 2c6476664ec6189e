"""Pieces that can be clicked: the top line, the status line, the key bar."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from mlbench.tui.draw.bars import Piece, action_at, fitting, in_lines
from mlbench.tui.draw.lines import line, stacked


class PieceBar(Widget):
    """Left and right pieces in a line, or in a few; what doesn't fit gives way by rank."""

    DEFAULT_CSS = """
    PieceBar { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: clip; }
    """

    class Pressed(Message):
        """The user clicked on a piece with this action."""

        def __init__(self, action: str) -> None:
            """Carry what the piece does."""
            self.action = action
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        """Begin empty."""
        super().__init__(id=id)
        self._left: Sequence[Piece] = ()
        self._right: Sequence[Piece] = ()
        self._most = 1
        self._drawn: list[list[Piece]] = []

    def show(self, left: Sequence[Piece], right: Sequence[Piece] = (), most_lines: int = 1) -> None:
        """Draw these pieces from now on; those of the left in so many lines where they need it."""
        is_same = _are_same(left, self._left) and _are_same(right, self._right)
        if not (is_same and most_lines == self._most):
            before = len(self._lines(self.size.width))
            self._left, self._right, self._most = tuple(left), tuple(right), most_lines
            self.refresh(layout=len(self._lines(self.size.width)) != before)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """As many lines as the pieces need."""
        return len(self._lines(width))

    def render(self) -> Content:
        """The pieces that fit, with the right ones at the right end."""
        self._drawn = self._lines(self.size.width)
        return stacked([line(*(piece.content for piece in pieces)) for pieces in self._drawn])

    def on_click(self, event: events.Click) -> None:
        """Do what the piece under the mouse does."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y >= len(self._drawn):
            return
        action = action_at(self._drawn[offset.y], offset.x)
        if action:
            self.post_message(self.Pressed(action))

    def _lines(self, width: int) -> list[list[Piece]]:
        if self._most > 1 and not self._right:
            return in_lines(self._left, width, self._most)
        kept = fitting([*self._left, *self._right], width)
        rights = [piece for piece in kept if any(piece is other for other in self._right)]
        lefts = [piece for piece in kept if not any(piece is other for other in self._right)]
        used = sum(piece.content.cell_length for piece in kept)
        gap = [Piece(Content(" " * (width - used)))] if rights and used < width else []
        return [[*lefts, *gap, *rights]]


def _are_same(one: Sequence[Piece], other: Sequence[Piece]) -> bool:
    # Two texts count as equal to Textual where their words are, whatever their styles.
    return len(one) == len(other) and all(
        a.action == b.action and a.rank == b.rank and a.content.is_same(b.content)
        for a, b in zip(one, other, strict=True)
    )
