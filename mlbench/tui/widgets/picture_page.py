"""What a run saved: a list above, what is under its cursor below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen

from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import cell, line, widest
from mlbench.tui.pictures import Picture, PictureQuestion, described, open_outside
from mlbench.tui.saved import Saved
from mlbench.tui.widgets.drawn import Drawn
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.piece_bar import PieceBar

_MOST_LISTED = 6


class PicturePage(ModalScreen[None]):
    """Shows pictures and texts; opens them in another program on demand."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,i,ctrl+q", "leave", show=False),
        Binding("enter,o", "open", show=False),
    ]

    class Wanted(Message):
        """A picture has to be read."""

        def __init__(self, question: PictureQuestion) -> None:
            """Carry what is asked."""
            self.question = question
            super().__init__()

    def __init__(self, run: str, saved: Sequence[Saved]) -> None:
        """Show what this run saved."""
        super().__init__()
        self._run, self._saved = run, tuple(saved)
        self._asked: PictureQuestion | None = None

    def compose(self) -> ComposeResult:
        """List, picture, keys."""
        with Vertical(id="picture-box") as box:
            box.border_title = Content(f"Saved by {self._run}")
            yield LineList(id="picture-list")
            yield Drawn(id="picture")
            yield PieceBar(id="dialog-keys")

    def on_mount(self) -> None:
        """Fill the list and ask for the first picture."""
        saved, names = self._saved, widest(item.name for item in self._saved)
        listed = self.query_one(LineList)
        listed.styles.height = min(len(saved), _MOST_LISTED) + listed.gutter.height
        listed.show(
            len(saved),
            lambda index, _: line(
                cell(saved[index].name, names), ("  " + described(saved[index]), "$quiet")
            ),
        )
        listed.focus()
        pieces = [
            Piece(line((" ↑↓", "bold $info"), " next "), ""),
            Piece(line((" o", "bold $info"), " open outside "), "open"),
            Piece(line((" esc", "bold $info"), " back "), "leave"),
        ]
        self.query_one(PieceBar).show(pieces)
        self.call_after_refresh(self._ask)

    def on_resize(self) -> None:
        """Draw it for the new size."""
        self.call_after_refresh(self._ask)

    def on_line_list_moved(self) -> None:
        """Show what is under the cursor."""
        self._ask()

    def on_line_list_chosen(self) -> None:
        """A double click opens it outside."""
        self.action_open()

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """The keys are buttons too."""
        message.stop()
        if message.action:
            self.action_open() if message.action == "open" else self.action_leave()

    def take(self, picture: Picture) -> None:
        """Show what was read, if it is what the cursor is on."""
        if picture.question != self._asked:
            return
        outside = line((f"{picture.problem}; press o to open it outside", "$quiet"))
        self.query_one("#picture", Drawn).show([outside] if picture.problem else picture.lines)

    def action_open(self) -> None:
        """Open what is under the cursor in another program."""
        path = self._saved[self.query_one(LineList).cursor or 0].path
        problem = open_outside(path)
        severity: Literal["warning", "information"] = "warning" if problem else "information"
        self.notify(problem or f"opening {path.name}", severity=severity, markup=False)

    def action_leave(self) -> None:
        """Close the page."""
        self.dismiss(None)

    def _ask(self) -> None:
        cursor, box = self.query_one(LineList).cursor, self.query_one("#picture", Drawn)
        if cursor is None or not box.size:
            return
        room = box.scrollable_content_region.size
        asked = PictureQuestion(self._saved[cursor].path, room.width, max(1, room.height))
        if asked != self._asked:
            self._asked = asked
            self.post_message(self.Wanted(asked))
