"""The modal pages: a question with its choices, and the keys of a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import line, stacked
from mlbench.tui.questions import WIDTH, Choice, Question
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.piece_bar import PieceBar


class QuestionDialog(ModalScreen[Choice | None]):
    """Shows what will happen and waits for yes or no; gives the choice, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "choose", show=False),
        Binding("n,escape,q", "refuse", show=False),
    ]

    def __init__(self, question: Question) -> None:
        """Ask this."""
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Title, what will happen, the choices, the keys."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._question.title)
            with VerticalScroll(id="dialog-text", can_focus=False):
                yield Static(stacked(self._question.lines), id="question")
            yield LineList(id="choices")
            yield PieceBar(id="dialog-keys")

    def on_mount(self) -> None:
        """Fill the list of choices and give it the focus."""
        self._show_choices()
        self.query_one("#choices", LineList).focus()

    def revise(self, question: Question) -> None:
        """Ask this instead, now that more is known; the cursor stays on its choice."""
        self._question = question
        self.query_one("#question", Static).update(stacked(question.lines))
        self._show_choices()

    def _show_choices(self) -> None:
        choices = self._question.choices
        listed = self.query_one("#choices", LineList)
        listed.styles.height = len(choices)
        listed.show(
            len(choices), lambda index, _: line(" ", (choices[index].label, choices[index].style))
        )
        keys = [
            Piece(line((" y", "bold $info"), " yes "), "choose"),
            Piece(line((" n", "bold $info"), " no "), "refuse"),
            Piece(line((" ↑↓ choose", "$quiet") if len(choices) > 1 else ""), rank=1),
        ]
        self.query_one("#dialog-keys", PieceBar).show(keys)

    def on_line_list_chosen(self) -> None:
        """A second click on a choice takes it."""
        self.action_choose()

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """The keys are buttons too."""
        message.stop()
        self.action_choose() if message.action == "choose" else self.action_refuse()

    def action_choose(self) -> None:
        """Answer with the choice under the cursor."""
        self.dismiss(self._question.choices[self.query_one("#choices", LineList).cursor or 0])

    def action_refuse(self) -> None:
        """Answer with no."""
        self.dismiss(None)


class HelpPage(ModalScreen[None]):
    """Every key of a screen with what it does, its twin, and why it does not work now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "leave", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[Content]) -> None:
        """Show these lines."""
        super().__init__()
        self._title, self._lines = title, lines

    def compose(self) -> ComposeResult:
        """All lines in a box that scrolls."""
        with VerticalScroll(id="help") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = Content("esc closes")
            yield Static(stacked(self._lines))

    def on_click(self) -> None:
        """A click closes the page."""
        self.action_leave()

    def action_leave(self) -> None:
        """Close the page."""
        self.dismiss(None)


DIALOG_WIDTH = WIDTH + 6
