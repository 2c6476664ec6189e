"""Which columns the table of runs has, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.columns import METRIC, PARAM, title_of
from mlbench.tui.draw.lines import line
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.piece_bar import PieceBar

_KEYS = (
    ("space", "show", "show_or_hide"),
    ("K", "up", "shift(-1)"),
    ("J", "down", "shift(1)"),
    ("/", "find", "find"),
    ("x", "automatic", "automatic"),
    ("enter", "keep", "choose"),
    ("esc", "leave", "refuse"),
)


class ColumnsDialog(ModalScreen[tuple[str, ...] | None]):
    """Gives the keys of the chosen columns in order: empty for those chosen by themselves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "show_or_hide", show=False),
        Binding("K,shift+up", "shift(-1)", show=False),
        Binding("J,shift+down", "shift(1)", show=False),
        Binding("slash", "find", show=False),
        Binding("x", "automatic", show=False),
        Binding("enter", "choose", show=False),
        Binding("escape,ctrl+q", "refuse", show=False),
    ]

    def __init__(self, chosen: Sequence[str], every: Sequence[str]) -> None:
        """Begin with these chosen, of all that there are."""
        super().__init__()
        self._chosen = list(dict.fromkeys(chosen))
        self._every = tuple(dict.fromkeys((*self._chosen, *every)))
        self._words = ""

    def compose(self) -> ComposeResult:
        """The list, the line that finds, the keys."""
        with Vertical(id="dialog") as box:
            box.border_title = Content("Columns")
            yield Input(placeholder="find a column …", id="columns-find", compact=True)
            yield LineList(id="columns-list")
            yield PieceBar(id="dialog-keys")

    def on_mount(self) -> None:
        """Fill the list and give it the focus."""
        self.query_one(Input).display = False
        self._draw()
        self._listed.focus()
        pieces = [
            Piece(line((f" {key}", "bold $info"), f" {label} "), action, rank)
            for rank, (key, label, action) in zip((0, 2, 2, 3, 4, 0, 1), _KEYS, strict=True)
        ]
        self.query_one(PieceBar).show(pieces, most_lines=2)

    @property
    def _listed(self) -> LineList:
        return self.query_one("#columns-list", LineList)

    @property
    def _shown(self) -> list[str]:
        rest = [key for key in self._every if key not in self._chosen]
        return [key for key in (*self._chosen, *rest) if self._words in _named(key).lower()]

    @property
    def _key(self) -> str | None:
        shown, cursor = self._shown, self._listed.cursor
        return shown[cursor] if cursor is not None and cursor < len(shown) else None

    def on_line_list_chosen(self) -> None:
        """A double click shows or hides."""
        self.action_show_or_hide()

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """The keys are buttons too."""
        message.stop()
        doings = {
            "show_or_hide": self.action_show_or_hide,
            "shift(-1)": lambda: self.action_shift(-1),
            "shift(1)": lambda: self.action_shift(1),
            "find": self.action_find,
            "automatic": self.action_automatic,
            "choose": self.action_choose,
            "refuse": self.action_refuse,
        }
        doings[message.action]()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show only columns with these letters."""
        event.stop()
        self._words = event.value.strip().lower()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the list."""
        event.stop()
        self._listed.focus()

    def action_show_or_hide(self) -> None:
        """Show or hide the column under the cursor."""
        key = self._key
        if key is None:
            return
        if key in self._chosen:
            self._chosen.remove(key)
        else:
            self._chosen.append(key)
        self._draw()
        self._go_to(key)

    def action_shift(self, by: int) -> None:
        """Move the column under the cursor among those that are shown."""
        key = self._key
        if key not in self._chosen:
            return
        place = self._chosen.index(key)
        self._chosen.insert(max(0, place + by), self._chosen.pop(place))
        self._draw()
        self._go_to(key)

    def action_find(self) -> None:
        """Type a part of a column's name."""
        field = self.query_one(Input)
        field.display = True
        field.focus()

    def action_automatic(self) -> None:
        """Leave the choice to the workbench again."""
        self.dismiss(())

    def action_choose(self) -> None:
        """Keep what is chosen."""
        self.dismiss(tuple(self._chosen))

    def action_refuse(self) -> None:
        """Leave the columns as they were."""
        self.dismiss(None)

    def _draw(self) -> None:
        shown, chosen = self._shown, self._chosen

        def drawn(index: int, _: int) -> Content:
            key = shown[index]
            if key not in chosen:
                return line(("[ ] ", "$quiet"), _named(key))
            return line(("[x] ", "bold $ok"), (_named(key), "bold"))

        self._listed.show(len(shown), drawn)
        self._listed.styles.height = max(1, min(len(shown), self.app.size.height - 9))

    def _go_to(self, key: str) -> None:
        shown = self._shown
        if key in shown:
            self._listed.put_cursor(shown.index(key))


def _named(key: str) -> str:
    kind = "metric" if key.startswith(METRIC) else "param" if key.startswith(PARAM) else ""
    return f"{title_of(key)}  {kind}".rstrip()
