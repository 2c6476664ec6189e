"""A log under a line that says whose it is and whether it follows."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from mlbench.tui.draw.lines import EMPTY, line, ruled
from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.widgets.drawn import Drawn
from mlbench.tui.widgets.log_view import LogView


class LogBox(Vertical):
    """The divider and the log of one stage."""

    DEFAULT_CSS = """
    LogBox { height: 1fr; min-height: 2; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with no stage's log."""
        super().__init__(id=id)
        self._question: StageQuestion | None = None

    def compose(self) -> ComposeResult:
        """The divider, then the log."""
        yield Drawn(id="log-title")
        yield LogView(id="log")

    @property
    def view(self) -> LogView:
        """The log itself."""
        return self.query_one(LogView)

    def show(self, detail: StageDetail) -> None:
        """Show a stage's log as of now."""
        anew = detail.question != self._question
        self._question = detail.question
        self.view.show(detail.log, anew=anew)

    def draw(self, nothing: str = "nothing logged") -> None:
        """Draw the divider; `nothing` is what to say of a log that is empty."""
        title = self.query_one("#log-title", Drawn)
        title.show([self._divider(title.width, nothing)])

    def _divider(self, width: int, nothing: str) -> Content:
        view = self.view
        if not view.count and not view.filter_words:
            words = line((f" {nothing} ", "$quiet"))
        elif view.is_following:
            words = line((" following ", "$ok"))
        else:
            words = line((" stopped, end follows ", "$warn"))
        found = line((f" /{view.filter_words} ", "$warn")) if view.filter_words else EMPTY
        left = line(("── ", "$frame"), ("log ", "bold $info" if view.has_focus else "bold"), found)
        return ruled(left, words, width)
