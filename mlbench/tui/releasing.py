"""The part of the app that has to do with releases: what is read about them, and under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

from mlbench.tui.questions import Question
from mlbench.tui.release_reading import (
    CardLines,
    GatesQuestion,
    GatesToday,
    LedgerLook,
    ReleaseDetail,
    VersionsCompared,
)
from mlbench.tui.screens.models import ModelsPane
from mlbench.tui.screens.release_wanted import ReleaseWanted
from mlbench.tui.widgets.dialog import QuestionDialog

if TYPE_CHECKING:
    from mlbench.tui.readers import Readers

Revised = Callable[[GatesToday], Question]


class Releasing(App[int]):
    """An app with screen 4; the rest of what it needs is the workbench's."""

    readers: Readers
    _expected: tuple[GatesQuestion, QuestionDialog, Revised] | None = None

    @property
    def models_pane(self) -> ModelsPane:
        """Screen 4."""
        return self.query_one(ModelsPane)

    def expect_gates(self, question: GatesQuestion, revised: Revised) -> None:
        """Judge the gates of today, and ask again what the open dialog asks once they are."""
        if isinstance(self.screen, QuestionDialog):
            self._expected = (question, self.screen, revised)
            self.readers.ask(question)

    def take_of_release(self, answer: object) -> None:
        """Take in what a background thread has found about releases; leave all else."""
        if isinstance(answer, ReleaseDetail | LedgerLook | VersionsCompared | CardLines):
            self.models_pane.take(answer)
        if not isinstance(answer, GatesToday):
            return
        if self._expected is None or self._expected[0] is not answer.question:
            return
        _, dialog, revised = self._expected
        self._expected = None
        if dialog.is_attached and dialog in self.screen_stack:
            dialog.revise(revised(answer))

    def on_release_wanted(self, message: ReleaseWanted) -> None:
        """A page needs to know more about what it shows."""
        self.readers.ask(message.question)
