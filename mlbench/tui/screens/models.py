"""Screen 4: candidates and versions, one in full, its card, two side by side, the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher

from mlbench.domain.names import friendly_name
from mlbench.tui.draw.empty import no_models
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.release_page import Page
from mlbench.tui.draw.releases import ModelTable
from mlbench.tui.reading import Released, now
from mlbench.tui.release_reading import (
    CardLines,
    LedgerLook,
    ReleaseDetail,
    ReleaseQuestion,
    VersionsCompared,
)
from mlbench.tui.release_rules import counterpart, release_of
from mlbench.tui.screens.card_page import CardPage
from mlbench.tui.screens.ledger_page import LedgerPage
from mlbench.tui.screens.pane import Pane
from mlbench.tui.screens.release_page import ReleasePage
from mlbench.tui.screens.release_wanted import ReleaseWanted
from mlbench.tui.screens.versions_page import VersionsPage
from mlbench.tui.situation import CARD, LEDGER, MODELS, RELEASE, VERSIONS, Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.words import version_of

_AGES_SECONDS = 5
_LEAST_HEIGHT, _MOST_SHARE = 5, 0.45


class ModelsPane(Pane):
    """The table and the page of what is under its cursor; other pages take its place until esc."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with nothing under the cursor."""
        super().__init__(id=id)
        self._known = Situation()
        self._key: tuple[str, str] | None = None
        self._read: tuple[Released, ...] = ()
        self._rows: tuple[Released, ...] = ()
        self._words = ""
        self._drawn_for: tuple[object, ...] = ()
        self._table: ModelTable | None = None
        self._aged: tuple[object, ...] = ()
        self._asked: ReleaseQuestion | None = None
        self._detail: ReleaseDetail | None = None
        self._came_from = MODELS

    def compose(self) -> ComposeResult:
        """The pages in one place."""
        with ContentSwitcher(initial=MODELS, id="models-pages"):
            with Vertical(id=MODELS):
                with Vertical(id="models-box"):
                    yield Drawn(id="models-header")
                    yield LineList(id="models-list")
                yield ReleasePage(id="release-below")
            yield ReleasePage(id=RELEASE)
            yield CardPage(id=CARD)
            yield LedgerPage(id=LEDGER)
            yield VersionsPage(id=VERSIONS)

    @property
    def page(self) -> str:
        """Which page is seen."""
        return self.query_one("#models-pages", ContentSwitcher).current or MODELS

    @property
    def ledger(self) -> LedgerPage:
        """The page of the ledger."""
        return self.query_one(LedgerPage)

    @property
    def listed(self) -> LineList:
        """The table."""
        return self.query_one("#models-list", LineList)

    @property
    def versions(self) -> VersionsPage:
        """The page of two versions."""
        return self.query_one(VersionsPage)

    def situated(self, known: Situation) -> Situation:
        """What is known, with the row under the cursor, or the ledger's entry."""
        page, release = self.page, self._selected
        entry = self.ledger.entry if page == LEDGER else None
        if page == LEDGER:
            release = release_of(entry, known.releases.rows) if entry else None
        detail = self._detail_of(release)
        return replace(
            known,
            screen=page,
            release=release,
            run=release.run if release else None,
            files=detail.files if detail else None,
            sides=self.versions.sides if page == VERSIONS else (),
            entry=entry,
        )

    def take_focus(self) -> None:
        """What the arrow keys move or scroll has the focus."""
        match self.page:
            case "ledger":
                self.ledger.listed.focus()
            case "versions":
                self.versions.listed.focus()
            case "model":
                self.query_one(f"#{RELEASE}").focus()
            case "card":
                self.query_one(CardPage).listed.focus()
            case _:
                self.listed.focus()

    def act(self, action: str) -> bool:
        """Everything that only this screen has."""
        doings: dict[str, Callable[[], None]] = {
            "open": self._open,
            "card": lambda: self._turn_to(CARD),
            "ledger": lambda: self._turn_to(LEDGER),
            "compare-live": self._compare,
            "differences": self._toggle_differences,
            "back": self._back,
        }
        if action not in doings:
            return False
        doings[action]()
        self._draw_again()
        return True

    def take(self, answer: ReleaseDetail | LedgerLook | VersionsCompared | CardLines) -> None:
        """Show what was read."""
        match answer:
            case ReleaseDetail():
                self._detail = answer
            case LedgerLook():
                self.ledger.take(answer)
            case VersionsCompared():
                self.versions.take(answer)
            case CardLines():
                self.query_one(CardPage).take(answer)

    def look_again(self) -> None:
        """Read the folder of what is looked at anew: a promotion may have changed it."""
        self._asked = None
        self.ledger.look_again()

    def filter(self, text: str) -> None:
        """Show only rows, or entries of the ledger, with these words."""
        words = text.strip().lower()
        if self.page == LEDGER:
            self.ledger.words = words
        else:
            self._words = words

    @property
    def filter_text(self) -> str:
        """The words that shown rows contain."""
        is_ledger = self.page == LEDGER
        who = "who, where, reason or forced …"
        self.filter_hint = who if is_ledger else "model, version, run or environment …"
        return self.ledger.words if is_ledger else self._words

    def _detail_of(self, release: Released | None) -> ReleaseDetail | None:
        """What was read of a candidate or version, where that has come already."""
        detail = self._detail
        if release is None or detail is None:
            return None
        is_its = detail.question.candidate.path == release.candidate.path
        return detail if is_its else None

    @property
    def _selected(self) -> Released | None:
        cursor = self.listed.cursor
        return self._rows[cursor] if cursor is not None and cursor < len(self._rows) else None

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Remember the row itself, for rows come and go above it."""
        if message.source.id == "models-list" and self._selected is not None:
            self._key = _key(self._selected)

    def draw(self, known: Situation, moment: float) -> None:
        """Draw the page that is seen, once it has been laid out."""
        self._known = known
        if not self.query_one(f"#{self.page}").size:
            return
        if self.page == LEDGER:
            self.ledger.draw(known)
            return
        # What is under the cursor follows the table also while another page is seen.
        self._fill(known, moment)
        release = self._selected
        self._ask_for(release)
        situation = self.situated(known)
        match self.page:
            case "versions":
                self.versions.draw()
            case "card":
                self.query_one(CardPage).draw(release, situation.files)
            case page:
                detail = self._detail_of(release)
                problem = detail.problem if detail else ""
                shown = Page(release, situation.files, problem) if release else None
                box = RELEASE if page == RELEASE else "release-below"
                self.query_one(f"#{box}", ReleasePage).draw(shown)

    def _fill(self, known: Situation, moment: float) -> None:
        """Measure the table anew where its rows or its width have changed."""
        listed, header = self.listed, self.query_one("#models-header", Drawn)
        releases = known.releases
        shown_for = (self._words, header.width, self.size.height, releases.is_read)
        if releases.rows is self._read and shown_for == self._drawn_for and self._rows:
            self._age(moment)
            return
        self._read, self._drawn_for = releases.rows, shown_for
        self._rows = tuple(row for row in releases.rows if self._words in _text_of(row))
        self.query_one("#release-below").display = bool(self._rows)
        entitle(self.query_one("#models-box"), line(("Models", "bold")), self._counted(known))
        self._set_height(len(self._rows))
        if not self._rows:
            said = no_models(known, header.width - 1, is_filtered=bool(self._words))
            header.show([line(" ", text) for text in said])
            listed.show(0, lambda *_: Content(""))
            return
        self._table = ModelTable(self._rows, max(8, header.width - 2), moment)
        header.show([line(" ", self._table.header)])
        keys = [_key(row) for row in self._rows]
        self._age(moment)
        if self._key in keys:
            listed.put_cursor(keys.index(self._key))

    def _age(self, moment: float) -> None:
        """Draw the rows that are seen again where they have grown older."""
        table, age = self._table, int(moment // _AGES_SECONDS)
        if table is not None and (table, age) != self._aged:
            self._aged = (table, age)
            self.listed.show(len(self._rows), lambda index, _: table.row(index, moment))

    def _set_height(self, rows: int) -> None:
        """As high as the table needs, but never so high that no page fits below it."""
        box = self.query_one("#models-box")
        room = max(_LEAST_HEIGHT, round(self.size.height * _MOST_SHARE))
        box.styles.height = min(rows + 1 + box.gutter.height, room) if rows else "1fr"

    def _counted(self, known: Situation) -> Content:
        every = len(known.releases.rows)
        said = f"{len(self._rows)} of {every} with “{self._words}”" if self._words else ""
        return line((said, "$quiet"))

    def _ask_for(self, release: Released | None) -> None:
        """Have the folder read of what is looked at, once for each state of it."""
        if release is None:
            return
        asked = ReleaseQuestion(release.candidate)
        if self._asked is None or asked.candidate is not self._asked.candidate:
            self._asked = asked
            self.post_message(ReleaseWanted(asked))

    def _open(self) -> None:
        if self.page == MODELS and self._selected is not None:
            self._turn_to(RELEASE)
        elif self.page == LEDGER:
            self.query_one("#ledger-entry-box").focus()

    def _compare(self) -> None:
        situation = self.situated(self._known)
        found = counterpart(situation)
        if situation.release is not None and found is not None:
            self._turn_to(VERSIONS)
            self.versions.open(found.release, situation.release, found.place)

    def _toggle_differences(self) -> None:
        self.versions.only_differences = not self.versions.only_differences

    def _back(self) -> None:
        """From a page to where it was opened; on the table and in the ledger drop the filter."""
        page = self.page
        if page == LEDGER and self.query_one("#ledger-entry-box").has_focus:
            self.ledger.listed.focus()
        elif page == LEDGER and (self.ledger.words or self.ledger.at):
            self.ledger.words = self.ledger.at = ""
        elif page == MODELS:
            self._words = ""
        else:
            back = self._came_from if page != RELEASE else MODELS
            self._turn_to(back)
            self._came_from = MODELS

    def _turn_to(self, page: str) -> None:
        if page not in (MODELS, RELEASE) and self.page in (MODELS, RELEASE):
            self._came_from = self.page
        self.query_one("#models-pages", ContentSwitcher).current = page
        self.take_focus()
        self.call_after_refresh(self._draw_again)

    def _draw_again(self) -> None:
        self.draw(self._known, now())


def _key(row: Released) -> tuple[str, str]:
    return row.candidate.model, row.candidate.run


def _text_of(row: Released) -> str:
    item = row.candidate
    words = (item.model, version_of(item), friendly_name(item.run), item.run, *row.environments)
    return " ".join((*words, item.format, item.digest)).lower()
