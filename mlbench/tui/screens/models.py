"""Screen 4: candidates and versions, what holds them back, what is live where."""

from __future__ import annotations

from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content

from mlbench.domain.names import friendly_name
from mlbench.tui.draw.empty import no_models
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.releases import ledger_lines, model_table, release_page
from mlbench.tui.reading import Released
from mlbench.tui.screens.pane import Pane
from mlbench.tui.situation import MODELS, Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.words import version_of


class ModelsPane(Pane):
    """The table, below it the row under the cursor in full, and the ledger."""

    filter_hint = "model, version, run or environment …"

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with nothing under the cursor."""
        super().__init__(id=id)
        self._digest: tuple[str, str] | None = None
        self._rows: tuple[Released, ...] = ()
        self._words = ""

    def compose(self) -> ComposeResult:
        """The table above; detail and ledger below."""
        with Vertical(id="models-box"):
            yield Drawn(id="models-header")
            yield LineList(id="models-list")
        with Vertical(id="models-below"):
            with VerticalScroll(id="release-box"):
                yield Drawn(id="release")
            yield LineList(id="ledger", is_selection=False)

    def situated(self, known: Situation) -> Situation:
        """What is known, with the row under the cursor."""
        release = self._selected
        return replace(known, screen=MODELS, release=release, run=release.run if release else None)

    def take_focus(self) -> None:
        """The table has the focus."""
        self.query_one("#models-list", LineList).focus()

    def filter(self, text: str) -> None:
        """Show only rows with these words."""
        self._words = text.strip().lower()

    @property
    def filter_text(self) -> str:
        """The words that shown rows contain."""
        return self._words

    @property
    def _selected(self) -> Released | None:
        cursor = self.query_one("#models-list", LineList).cursor
        return self._rows[cursor] if cursor is not None and cursor < len(self._rows) else None

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Remember the row itself, for rows come and go above it."""
        if message.source.id == "models-list" and self._selected is not None:
            self._digest = _key(self._selected)

    def draw(self, known: Situation, now: float) -> None:
        """Table, detail, ledger."""
        self._rows = tuple(row for row in known.releases.rows if self._words in _text_of(row))
        self._draw_table(known, now)
        detail, selected = self.query_one("#release", Drawn), self._selected
        box = self.query_one("#release-box")
        if selected is None:
            entitle(box, line(""))
            detail.show([])
        else:
            item = selected.candidate
            entitle(box, line((f"{item.model} {version_of(item)}", "bold")))
            detail.show(release_page(selected, detail.width))
        ledger = self.query_one("#ledger", LineList)
        lines = ledger_lines(known.releases.ledger, ledger.line_width)
        ledger.show(len(lines), lambda index, _: lines[index])
        empty = line(("nothing promoted yet", "$quiet")) if not lines else line("")
        entitle(ledger, line(("Ledger", "bold")), empty)

    def _draw_table(self, known: Situation, now: float) -> None:
        listed, header = (
            self.query_one("#models-list", LineList),
            self.query_one("#models-header", Drawn),
        )
        width = max(8, header.width - 2)
        if not self._rows:
            header.show(no_models(known, header.width))
            listed.show(0, lambda *_: Content(""))
        else:
            titles, lines = model_table(self._rows, width, now)
            header.show([line(" ", titles)])
            keys = [_key(row) for row in self._rows]
            listed.show(len(lines), lambda index, _: lines[index])
            if self._digest in keys:
                listed.put_cursor(keys.index(self._digest))
        entitle(self.query_one("#models-box"), line(("Models", "bold")))


def _key(row: Released) -> tuple[str, str]:
    return row.candidate.model, row.candidate.run


def _text_of(row: Released) -> str:
    item = row.candidate
    words = (item.model, version_of(item), friendly_name(item.run), item.run, *row.environments)
    return " ".join(words).lower()
