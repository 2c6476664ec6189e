"""A few named texts that the workbench asks for at once: a trial's parameters, a new sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import line
from mlbench.tui.widgets.piece_bar import PieceBar

Fault = Callable[[Mapping[str, str]], str]
"""What is wrong with the texts, in one sentence; empty where nothing is."""
FormField = tuple[str, str, str]
"""Name, what it can be, and the text to begin with."""

_MOST_LABEL = 28


class FieldInput(Input):
    """One text; the arrow keys go to the fields above and below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]


class FormDialog(ModalScreen[Mapping[str, str] | None]):
    """Gives the texts by name, or None where the user thought better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", show=False),
        Binding("ctrl+q", "refuse", show=False),
    ]

    def __init__(
        self, title: str, hint: str, fields: Sequence[FormField], fault: Fault, *, done: str
    ) -> None:
        """Ask for these; texts with a fault are not taken; `done` names enter."""
        super().__init__()
        self._title, self._hint, self._fields = title, hint, tuple(fields)
        self._fault, self._done = fault, done

    def compose(self) -> ComposeResult:
        """The hint, a line for each field, what is wrong, the keys."""
        room = min(_MOST_LABEL, max(len(name) for name, _, _ in self._fields))
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(Content(self._hint), id="text-hint")
            with VerticalScroll(id="form-fields", can_focus=False):
                for name, _, text in self._fields:
                    label = Static(line((name[:room], "$quiet")), classes="ask-label")
                    label.styles.width = room + 2
                    yield Horizontal(label, FieldInput(text, compact=True, select_on_focus=False))
            yield Static("", id="form-hint")
            yield Static("", id="text-fault")
            yield PieceBar(id="dialog-keys")

    @property
    def texts(self) -> dict[str, str]:
        """What stands in the fields."""
        inputs = self.query(FieldInput)
        return {name: item.value for (name, _, _), item in zip(self._fields, inputs, strict=True)}

    def on_mount(self) -> None:
        """Type into the first field."""
        self.query(FieldInput).first().focus()
        self.query_one(PieceBar).show(
            [
                Piece(line((" enter", "bold $info"), f" {self._done} "), "choose"),
                Piece(line((" esc", "bold $info"), " leave it "), "refuse"),
                Piece(line((" ↑↓ fields", "$quiet")), rank=1),
            ]
        )

    def on_descendant_focus(self) -> None:
        """Say what the field that has the focus can be."""
        for (_, hint, _), item in zip(self._fields, self.query(FieldInput), strict=True):
            if item.has_focus:
                self.query_one("#form-hint", Static).update(line((hint, "$quiet")))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is wrong while it is typed."""
        event.stop()
        if len(self.query(FieldInput)) == len(self._fields):
            is_begun = [*self.texts.values()] != [text for _, _, text in self._fields]
            self._say(self._fault(self.texts) if is_begun else "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the texts."""
        event.stop()
        self.action_choose()

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """The keys are buttons too."""
        message.stop()
        self.action_choose() if message.action == "choose" else self.action_refuse()

    def action_choose(self) -> None:
        """Answer with the texts, unless something is wrong with them."""
        fault = self._fault(self.texts)
        if fault:
            self._say(fault)
        else:
            self.dismiss(self.texts)

    def action_refuse(self) -> None:
        """Answer with nothing."""
        self.dismiss(None)

    def _say(self, fault: str) -> None:
        said = line((f"✗ {fault}", "$fail")) if fault else Content("")
        self.query_one("#text-fault", Static).update(said)
