"""A line of pieces that can be clicked: the top line, the status line, the key bar."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from mlbench.tui.draw.bars import Piece, action_at, fitting
from mlbench.tui.draw.lines import line


class PieceBar(Widget):
    """One line, left and right pieces; what doesn't fit gives way by rank."""

    DEFAULT_CSS = """
    PieceBar { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: clip; }
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
        self._drawn: list[Piece] = []

    def show(self, left: Sequence[Piece], right: Sequence[Piece] = ()) -> None:
        """Draw these pieces from now on."""
        if not (_are_same(left, self._left) and _are_same(right, self._right)):
            self._left, self._right = tuple(left), tuple(right)
            self.refresh()

    def render(self) -> Content:
        """The pieces that fit, with the right ones at the right end."""
        width = self.size.width
        kept = fitting([*self._left, *self._right], width)
        rights = [piece for piece in kept if any(piece is other for other in self._right)]
        lefts = [piece for piece in kept if not any(piece is other for other in self._right)]
        used = sum(piece.content.cell_length for piece in kept)
        gap = [Piece(Content(" " * (width - used)))] if rights and used < width else []
        self._drawn = [*lefts, *gap, *rights]
        return line(*(piece.content for piece in self._drawn))

    def on_click(self, event: events.Click) -> None:
        """Do what the piece under the mouse does."""
        action = action_at(self._drawn, event.x)
        if action:
            self.post_message(self.Pressed(action))


def _are_same(one: Sequence[Piece], other: Sequence[Piece]) -> bool:
    # Two texts count as equal to Textual where their words are, whatever their styles.
    return len(one) == len(other) and all(
        a.action == b.action and a.rank == b.rank and a.content.is_same(b.content)
        for a, b in zip(one, other, strict=True)
    )
