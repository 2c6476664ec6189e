"""Two versions of a model side by side."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widget import Widget

from mlbench.domain.comparison import ComparedRow
from mlbench.tui.draw.lines import EMPTY, line
from mlbench.tui.draw.versions import versions_lines
from mlbench.tui.reading import Released
from mlbench.tui.release_reading import SidesQuestion, VersionsCompared
from mlbench.tui.screens.release_wanted import ReleaseWanted
from mlbench.tui.widgets.drawn import entitle
from mlbench.tui.widgets.line_list import LineList


class VersionsPage(Widget):
    """What is compared with at the left, what the cursor was on at the right."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with none."""
        super().__init__(id=id)
        self.only_differences = False
        self._question: SidesQuestion | None = None
        self._place = ""
        self._rows: tuple[ComparedRow, ...] | None = None
        self._drawn_for: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """One list of lines."""
        yield LineList(id="versions-list", is_selection=False)

    @property
    def listed(self) -> LineList:
        """All lines."""
        return self.query_one("#versions-list", LineList)

    @property
    def sides(self) -> tuple[Released, ...]:
        """The two versions, what is compared with first; none before the first are opened."""
        return (self._question.first, self._question.second) if self._question else ()

    def open(self, first: Released, second: Released, place: str) -> None:
        """Put these side by side; `place` says what the first one is."""
        self._question, self._place, self._rows = SidesQuestion(first, second), place, None
        self.post_message(ReleaseWanted(self._question))

    def take(self, answer: VersionsCompared) -> None:
        """Show what was found out, if it is about these."""
        if answer.question is self._question:
            self._rows = answer.rows

    def draw(self) -> None:
        """Draw again only what has changed."""
        listed, asked = self.listed, self._question
        now = (self._rows, listed.line_width, self.only_differences, asked)
        if asked is None or now == self._drawn_for:
            return
        self._drawn_for = now
        if self._rows is None:
            lines = [line(("comparing …", "$quiet"))]
        else:
            lines = versions_lines(
                (asked.first, asked.second),
                self._rows,
                listed.line_width,
                only_differences=self.only_differences,
            )
        listed.show(len(lines), lambda index, _: lines[index])
        beside = "the version before" if self._place == "before" else f"what {self._place} serves"
        told = line(("only differences", "$quiet")) if self.only_differences else EMPTY
        entitle(listed, line((f"Beside {beside}", "bold")), told)
