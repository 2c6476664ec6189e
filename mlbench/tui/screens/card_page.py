"""The model card: Markdown made from the facts, with the user's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget

from mlbench.tui.draw.lines import line
from mlbench.tui.reading import Released
from mlbench.tui.release_reading import CardLines, CardQuestion
from mlbench.tui.screens.release_wanted import ReleaseWanted
from mlbench.tui.widgets.drawn import entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.words import version_of

if TYPE_CHECKING:
    from mlbench.engine.release_queries import ReleaseFiles


class CardPage(Widget):
    """Has a card laid out when it is first seen, when it has changed, and for another width."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin empty."""
        super().__init__(id=id)
        self._asked: CardQuestion | None = None

    def compose(self) -> ComposeResult:
        """The lines of the card."""
        yield LineList(id="card-list", is_selection=False)

    @property
    def listed(self) -> LineList:
        """The lines of the card."""
        return self.query_one(LineList)

    def draw(self, release: Released | None, files: ReleaseFiles | None) -> None:
        """Show the card of a candidate or version, as soon as it is read and laid out."""
        if release is None:
            return
        item = release.candidate
        entitle(self.listed, line((f"card of {item.model} {version_of(item)}", "bold")))
        if files is None:
            return
        asked = CardQuestion(files.card, self.listed.line_width - 1)
        if asked != self._asked:
            self._asked = asked
            self.post_message(ReleaseWanted(asked))

    def take(self, answer: CardLines) -> None:
        """Show the lines of the card, if it still is the one that is looked at."""
        if answer.question == self._asked:
            lines: tuple[Content, ...] = answer.lines
            self.listed.show(len(lines), lambda index, _: lines[index])
