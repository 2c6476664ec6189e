"""Styled text that is painted anew only where it differs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from mlbench.tui.draw.lines import stacked


class Drawn(Static):
    """Lines as a pure function gave them."""

    DEFAULT_CSS = """
    Drawn { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        """Begin empty."""
        super().__init__("", id=id)
        self._shown = Content("")
        self._height = 0

    @property
    def width(self) -> int:
        """How many cells a line may have; never 0."""
        return max(1, self.content_size.width)

    @property
    def text(self) -> str:
        """What is shown, without its styles."""
        return self._shown.plain

    def show(self, lines: Sequence[Content]) -> None:
        """Show these lines."""
        content = stacked(lines)
        if not content.is_same(self._shown):
            is_taller = len(lines) != self._height
            self._shown, self._height = content, len(lines)
            self.update(content, layout=is_taller)


def entitle(box: Widget, title: Content, subtitle: Content | None = None) -> None:
    """Set a box's title, and the subtitle in its lower border, where they differ."""
    if box.border_title != title.markup:
        box.border_title = title
    if box.border_subtitle != (subtitle or Content("")).markup:
        box.border_subtitle = subtitle or Content("")
