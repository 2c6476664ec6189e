"""The line where a filter is typed; it filters with every letter."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from mlbench.tui.draw.lines import line


class FilterLine(Horizontal):
    """Hidden until it is opened; says beside the text what is wrong with it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear", show=False)]

    class Changed(Message):
        """The text changed; empty for no filter."""

        def __init__(self, text: str) -> None:
            """Carry the text."""
            self.text = text
            super().__init__()

    class Left(Message):
        """The user is done typing: the focus goes back to the list."""

    def compose(self) -> ComposeResult:
        """A sign, the text, what is wrong with it."""
        yield Static("/", id="filter-sign")
        yield Input(id="filter-text", compact=True, select_on_focus=False)
        yield Static("", id="filter-error")

    @property
    def text(self) -> str:
        """What stands in the line."""
        return self.query_one(Input).value

    def open(self, hint: str, text: str = "") -> None:
        """Show the line and type into it."""
        self.display = True
        field = self.query_one(Input)
        field.placeholder = hint
        if field.value != text:
            with self.prevent(Input.Changed):
                field.value = text
            field.cursor_position = len(text)
        field.focus()

    def close(self) -> None:
        """Hide the line."""
        self.display = False
        self.say("")

    def say(self, error: str) -> None:
        """What is wrong with the text; empty where nothing is."""
        said = line((f"✗ {error}", "$fail")) if error else Content("")
        self.query_one("#filter-error", Static).update(said)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter with every letter."""
        event.stop()
        self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the list."""
        event.stop()
        if not event.value.strip():
            self.close()
        self.post_message(self.Left())

    def action_clear(self) -> None:
        """Drop the filter and go back to the list."""
        with self.prevent(Input.Changed):
            self.query_one(Input).value = ""
        self.close()
        self.post_message(self.Changed(""))
        self.post_message(self.Left())
