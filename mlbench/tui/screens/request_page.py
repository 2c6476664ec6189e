"""One logged request in full: when, by which version, what went in and what came out."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from mlbench.domain.release import Signature
from mlbench.domain.serving import LoggedRequest
from mlbench.tui.draw.lines import EMPTY, line
from mlbench.tui.draw.requests import request_lines
from mlbench.tui.widgets.drawn import Drawn, entitle


class RequestPage(VerticalScroll):
    """Draws a request when it, or its width, has changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with none."""
        super().__init__(id=id)
        self._drawn_for: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """All of it in one column."""
        yield Drawn(id="request-lines")

    def draw(self, row: LoggedRequest | None, signature: Signature | None) -> None:
        """Show this request, from its top where it is another one than before."""
        drawn = self.query_one(Drawn)
        now = (row, signature, drawn.width)
        if now == self._drawn_for:
            return
        if self._drawn_for and row != self._drawn_for[0]:
            self.scroll_home(animate=False)
        self._drawn_for = now
        drawn.show(request_lines(row, signature, drawn.width) if row is not None else [EMPTY])
        entitle(
            self, line(("Request", "bold"), (f"  {row.id}" if row is not None else "", "$quiet"))
        )
