"""One candidate or version: what speaks for it at the left, what it is at the right."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll

from mlbench.tui.draw.lines import EMPTY, line
from mlbench.tui.draw.release_page import Page, fact_lines, proof_lines
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.words import version_of

_WIDE = 100


class ReleasePage(VerticalScroll):
    """Draws a page when what it is drawn from, or its width, has changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with nothing to show."""
        super().__init__(id=id, classes="release-page")
        self._drawn_for: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Two columns that scroll as one, or all in the first where it is narrow."""
        with Horizontal(classes="release-columns"):
            yield Drawn(id="release-proof")
            yield Drawn(id="release-facts")

    def draw(self, page: Page | None) -> None:
        """Show this, from its top where it is about another model than before."""
        proof, facts = (
            self.query_one("#release-proof", Drawn),
            self.query_one("#release-facts", Drawn),
        )
        is_wide = facts.display = self.size.width >= _WIDE
        now = (page, is_wide, proof.width, facts.width)
        if now == self._drawn_for:
            return
        if not self._drawn_for or not _is_same(page, self._drawn_for[0]):
            self.scroll_home(animate=False)
        self._drawn_for = now
        if page is None:
            proof.show([])
            entitle(self, EMPTY)
            return
        if is_wide:
            proof.show(proof_lines(page, proof.width))
            facts.show(fact_lines(page, facts.width))
        else:
            proof.show([*proof_lines(page, proof.width), EMPTY, *fact_lines(page, proof.width)])
        item = page.candidate
        entitle(self, line((f"{item.model} {version_of(item)}", "bold")))


def _is_same(page: Page | None, other: object) -> bool:
    if page is None or not isinstance(other, Page):
        return False
    return page.candidate.path == other.candidate.path
