"""What another version answers to what was asked lately, beside what was answered then."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from mlbench.tui.draw.empty import folded
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.replay import replay_lines
from mlbench.tui.serving_reading import ReplayDone, ReplayQuestion
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.words import version_of


class ReplayPage(VerticalScroll):
    """Shows what it waits for, then what came of it."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with nothing asked."""
        super().__init__(id=id)
        self._question: ReplayQuestion | None = None
        self._done: ReplayDone | None = None

    def compose(self) -> ComposeResult:
        """All in one column."""
        yield Drawn(id="replay-lines")

    def open(self, question: ReplayQuestion) -> None:
        """Wait for the answer to this."""
        self._question, self._done = question, None

    def take(self, done: ReplayDone) -> None:
        """Show what came of it."""
        if done.question is self._question:
            self._done = done
        self.draw()

    def draw(self) -> None:
        """Draw what is known."""
        drawn, question, done = self.query_one(Drawn), self._question, self._done
        if question is None:
            return
        item = question.candidate
        title = line((f"{item.model} {version_of(item)}", "bold"),
                     (f"  on the newest requests of {question.environment}", "$quiet"))  # fmt: skip
        entitle(self, title)
        if done is None:
            drawn.show([line(("asking it what was asked lately …", "$quiet"))])
        elif done.found is None:
            pieces = folded(f"✗ {done.problem}", drawn.width)
            drawn.show([line((piece.plain, "bold $fail")) for piece in pieces])
        else:
            drawn.show(replay_lines(done.found, drawn.width))
