"""The ledger: what is live, what was live at a time, every entry, and one in full."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget

from mlbench.domain.ledger import live
from mlbench.domain.names import friendly_name
from mlbench.domain.release import LedgerEntry
from mlbench.tui.draw.empty import folded
from mlbench.tui.draw.ledger import NOW, LedgerTable, entry_lines, in_utc, live_lines
from mlbench.tui.draw.lines import EMPTY, line
from mlbench.tui.release_reading import LedgerLook, LedgerQuestion
from mlbench.tui.screens.release_wanted import ReleaseWanted
from mlbench.tui.situation import Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList

_BROAD = 150
_LEAST_HEIGHT = 4


class LedgerPage(Widget):
    """Newest entry first; the cursor keeps its entry while others come above it."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin at now."""
        super().__init__(id=id)
        self.at = ""
        self.words = ""
        self._look: LedgerLook | None = None
        self._table = LedgerTable((), ())
        self._shown: tuple[LedgerEntry, ...] = ()
        self._shown_for: tuple[object, ...] = ()
        self._asked_for: tuple[object, ...] = ()
        self._sequence: int | None = None

    def compose(self) -> ComposeResult:
        """What was live above; entries, and one of them in full."""
        yield Drawn(id="ledger-live")
        with Horizontal(id="ledger-body"):
            yield LineList(id="ledger-list")
            with VerticalScroll(id="ledger-entry-box"):
                yield Drawn(id="ledger-entry")

    @property
    def listed(self) -> LineList:
        """The entries."""
        return self.query_one("#ledger-list", LineList)

    @property
    def entry(self) -> LedgerEntry | None:
        """The entry under the cursor."""
        cursor = self.listed.cursor
        return self._shown[cursor] if cursor is not None and cursor < len(self._shown) else None

    @property
    def _untold(self) -> Mapping[int, str]:
        return self._look.untold if self._look is not None else {}

    def ask_at(self, at: str) -> None:
        """Show what was live at a time, as the user writes it; now where it is empty."""
        self.at = at
        self.post_message(ReleaseWanted(LedgerQuestion(at)))

    def take(self, look: LedgerLook) -> None:
        """Show what was read, if it is about this time."""
        if look.question.at == self.at:
            self._look = look

    def look_again(self) -> None:
        """Read anew what lies beside the ledger: an `on_promote` may have ended."""
        self._asked_for = ()

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Remember the entry itself, for others come above it."""
        message.stop()
        self._sequence = self.entry.sequence if self.entry else None

    def draw(self, known: Situation) -> None:
        """Draw what is known; the chain is checked again whenever the ledger has grown."""
        ledger = known.releases.ledger
        if self._asked_for != (ledger, self.at):
            self._asked_for = (ledger, self.at)
            self.ask_at(self.at)
        is_broad = self.size.width >= _BROAD
        self.query_one("#ledger-body").set_class(is_broad, "-broad")
        self._draw_live(known)
        self._fill(ledger)
        # Beside an entry it is as high as can be, above one as high as it needs.
        room = max(_LEAST_HEIGHT, self.size.height // 2)
        height = min(len(self._shown) + self.listed.gutter.height, room)
        self.listed.styles.height = "1fr" if is_broad or not self._shown else height
        entry, box = self.entry, self.query_one("#ledger-entry", Drawn)
        untold = self._untold.get(entry.sequence, "") if entry else ""
        box.show(entry_lines(entry, box.width, untold) if entry else [])
        title = f"entry {entry.sequence}" if entry else ""
        entitle(self.query_one("#ledger-entry-box"), line((title, "bold")))

    def _fill(self, ledger: tuple[LedgerEntry, ...]) -> None:
        listed = self.listed
        untold = self._untold
        now = (ledger, self.words, listed.line_width, *untold)
        if now != self._shown_for:
            self._shown_for = now
            newest_first = tuple(reversed(ledger))
            self._shown = tuple(item for item in newest_first if self.words in _text_of(item))
            self._table = LedgerTable(self._shown, ledger, untold)
            listed.show(len(self._table), self._table.row)
            places = [item.sequence for item in self._shown]
            if self._sequence in places:
                listed.put_cursor(places.index(self._sequence))
        entitle(listed, line(("Ledger", "bold")), self._counted(ledger))

    def _counted(self, ledger: tuple[LedgerEntry, ...]) -> Content:
        """How many entries there are, and whether the chain is whole."""
        look = self._look
        count = f"{len(ledger)} {'entry' if len(ledger) == 1 else 'entries'}"
        if look is None or not ledger:
            return line((count if ledger else "nothing promoted yet: p promotes", "$quiet"))
        if look.fault:
            return line((f"✗ {look.fault}", "bold $fail"))
        if look.behind:
            return line((f"! {look.behind}", "bold $warn"))
        return line((f"{count}, times in UTC, the chain is whole ✓", "$quiet"))

    def _draw_live(self, known: Situation) -> None:
        drawn, look = self.query_one("#ledger-live", Drawn), self._look
        serving = live(known.releases.ledger)
        entries = [entry for models in serving.values() for entry in models.values()]
        lines = live_lines(NOW, entries, drawn.width)
        if self.at and look is not None and look.question.at == self.at:
            told = f"at {in_utc(look.moment)} UTC"
            if look.problem:
                lines += [line((part.plain, "$fail")) for part in folded(look.problem, drawn.width)]
            else:
                lines += [EMPTY, *live_lines(told, look.live, drawn.width)]
        drawn.show(lines)


def _text_of(entry: LedgerEntry) -> str:
    words = (
        *(entry.at, entry.action, entry.environment, f"{entry.model} v{entry.version}"),
        *(friendly_name(entry.run), entry.run, entry.by, entry.reason, entry.why, entry.digest),
        "forced" if entry.forced else "",
    )
    return " ".join(words).lower()
