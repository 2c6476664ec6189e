"""A line of text that the workbench asks for: a note, tags, the name of a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import line
from mlbench.tui.widgets.piece_bar import PieceBar

Fault = Callable[[str], str]
"""What is wrong with a text, in one sentence; empty where nothing is."""


def _no_fault(_: str) -> str:
    return ""


class TextDialog(ModalScreen[str | None]):
    """Gives the text, or None where the user thought better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", show=False),
        Binding("ctrl+q", "refuse", show=False),
    ]

    def __init__(
        self,
        title: str,
        hint: str,
        text: str = "",
        fault: Fault = _no_fault,
        *,
        done: str = "keep",
    ) -> None:
        """Ask with this text to begin with; one with a fault is not taken; `done` names enter."""
        super().__init__()
        self._done = done
        self._title, self._hint, self._text, self._fault = title, hint, text, fault

    def compose(self) -> ComposeResult:
        """The hint, the text, what is wrong with it, the keys."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(Content(self._hint), id="text-hint")
            yield Input(self._text, id="text-input", compact=True, select_on_focus=False)
            yield Static("", id="text-fault")
            yield PieceBar(id="dialog-keys")

    def on_mount(self) -> None:
        """Type at the end of what is there."""
        field = self.query_one(Input)
        field.focus()
        field.cursor_position = len(self._text)
        self.query_one(PieceBar).show(
            [
                Piece(line((" enter", "bold $info"), f" {self._done} "), "choose"),
                Piece(line((" esc", "bold $info"), " leave as it was "), "refuse"),
            ]
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong while it is typed."""
        event.stop()
        self._say(self._fault(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the text."""
        event.stop()
        self.action_choose()

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """The keys are buttons too."""
        message.stop()
        self.action_choose() if message.action == "choose" else self.action_refuse()

    def action_choose(self) -> None:
        """Answer with the text, unless something is wrong with it."""
        text = self.query_one(Input).value
        fault = self._fault(text)
        if fault:
            self._say(fault)
        else:
            self.dismiss(text)

    def action_refuse(self) -> None:
        """Answer with nothing."""
        self.dismiss(None)

    def _say(self, fault: str) -> None:
        said = line((f"✗ {fault}", "$fail")) if fault else Content("")
        self.query_one("#text-fault", Static).update(said)
