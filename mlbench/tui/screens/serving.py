"""Screen 5: environments and what they serve, live charts, the request log, a form to try it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher

from mlbench.domain.phrases import plural
from mlbench.domain.release import Candidate, DeployedModel, Signature
from mlbench.domain.serving import LoggedRequest
from mlbench.tui.draw.charts import chart_lines, span_of
from mlbench.tui.draw.empty import no_traffic, nothing_served
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.requests import RequestTable, text_of
from mlbench.tui.draw.serving import ServedTable, detail_lines
from mlbench.tui.reading import now
from mlbench.tui.screens.ask_page import AskPage
from mlbench.tui.screens.pane import Pane
from mlbench.tui.screens.replay_page import ReplayPage
from mlbench.tui.screens.request_page import RequestPage
from mlbench.tui.served import Served, served
from mlbench.tui.serving_deeds import SERVING_DEEDS
from mlbench.tui.serving_history import Place, Trail
from mlbench.tui.serving_reading import (
    Asked,
    Inputs,
    ReplayDone,
    ReplayQuestion,
    Requests,
    RequestsQuestion,
    Sample,
    SampleQuestion,
    ServingAnswer,
)
from mlbench.tui.serving_rules import asked_version
from mlbench.tui.serving_wanted import CopyWanted, ServingWanted
from mlbench.tui.situation import ASKING, REPLAY, REQUEST, SERVING, Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench

_LEAST_LOG, _LEAST_CHARTS, _CHARTS_SHARE = 5, 12, 0.56
_LEAST_LIST = 3


class ServingPane(Pane):
    """The list at the left, what passes through the place under its cursor at the right."""

    filter_hint = "id, version, status or answer …"

    def __init__(self, trails: Mapping[Place, Trail], *, id: str | None = None) -> None:
        """Draw the charts from these trails, which the workbench adds to."""
        super().__init__(id=id)
        self._trails = trails
        self._known = Situation()
        self._page = SERVING
        self._rows: tuple[Served, ...] = ()
        self._place: Place | None = None
        self._requests = Requests(RequestsQuestion(""))
        self._shown: tuple[LoggedRequest, ...] = ()
        self._shown_for: tuple[object, ...] = ()
        self._charted: tuple[object, ...] = ()
        self._request: str | None = None
        self._words = ""
        self._copying: DeployedModel | None = None

    def compose(self) -> ComposeResult:
        """The pages in one place."""
        with ContentSwitcher(initial=SERVING, id="serving-pages"):
            with Horizontal(id=SERVING):
                with Vertical(id="serving-left"):
                    yield LineList(id="served")
                    with VerticalScroll(id="served-detail", can_focus=False):
                        yield Drawn(id="served-lines")
                with Vertical(id="serving-right"):
                    with Vertical(id="charts-box"):
                        yield Drawn(id="charts")
                    yield LineList(id="requests")
            yield RequestPage(id=REQUEST)
            yield AskPage(id="try-it")
            yield ReplayPage(id=REPLAY)

    @property
    def asked_inputs(self) -> Inputs | None:
        """What the form holds; None where something is wrong with it."""
        return self.query_one(AskPage).inputs

    @property
    def requests_question(self) -> RequestsQuestion | None:
        """Whose newest requests are shown."""
        row = self._selected
        if row is None or self._page not in (SERVING, REQUEST):
            return None
        return RequestsQuestion(*row.place)

    @property
    def _selected(self) -> Served | None:
        place = self._place
        found = next((row for row in self._rows if row.place == place), None)
        return found or next(iter(self._rows), None)

    @property
    def _logged(self) -> LoggedRequest | None:
        row = next((item for item in self._shown if item.id == self._request), None)
        return row or next(iter(self._shown), None)

    def situated(self, known: Situation) -> Situation:
        """What is known, with what is under the cursor."""
        return replace(known, screen=self._page, served=self._selected, logged=self._logged)

    def take_focus(self) -> None:
        """What the arrow keys move or scroll has the focus."""
        if not self.query("#serving-pages"):
            self.call_after_refresh(self.take_focus)
            return
        match self._page:
            case "request":
                self.query_one(RequestPage).focus()
            case "try it":
                self.query_one(AskPage).take_focus()
            case "replay":
                self.query_one(ReplayPage).focus()
            case _:
                self.query_one("#served").focus()

    def act(self, action: str) -> bool:
        """Everything that only this screen has."""
        doings: dict[str, Callable[[], None]] = {
            "ask": self._ask,
            "send": lambda: self.query_one(AskPage).send(),
            "next-row": lambda: self.query_one(AskPage).turn(1),
            "previous-row": lambda: self.query_one(AskPage).turn(-1),
            "open-request": self._open_request,
            "next-request": lambda: self._step(1),
            "previous-request": lambda: self._step(-1),
            "back": self._back,
        }
        if action in SERVING_DEEDS:
            workbench = cast("Workbench", self.app)
            SERVING_DEEDS[action](workbench, workbench.situation)
        elif action in doings:
            doings[action]()
        else:
            return False
        self._draw_again()
        return True

    def take(self, answer: ServingAnswer) -> None:
        """Show what was read or answered."""
        match answer:
            case Requests():
                if answer.question == self.requests_question:
                    self._requests = answer
            case Sample(question, row) if self._copying is question.deployed:
                self._copying = None
                if row is not None:
                    self.post_message(CopyWanted(question.deployed, tuple(row.inputs)))
            case Sample() | Asked():
                self.query_one(AskPage).take(answer)
            case ReplayDone():
                self.query_one(ReplayPage).take(answer)

    def copy_sample(self, deployed: DeployedModel) -> None:
        """Have a held-out row read, to be copied as a request."""
        self._copying = deployed
        self.post_message(ServingWanted(SampleQuestion(deployed)))

    def replay(self, place: Served, candidate: Candidate) -> None:
        """Ask a candidate or version what was asked lately, and show what comes of it."""
        question = ReplayQuestion(place.environment.name, candidate)
        self.query_one(ReplayPage).open(question)
        self.post_message(ServingWanted(question))
        self._turn_to(REPLAY)

    def filter(self, text: str) -> None:
        """Show only requests with these words."""
        self._words = text.strip().lower()

    @property
    def filter_text(self) -> str:
        """The words that shown requests contain."""
        return self._words

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Remember the row itself, for rows come and go above it."""
        if message.source.id == "served":
            self._place = self._rows[message.index].place
            question = self.requests_question
            if question is not None:
                self.post_message(ServingWanted(question))
        elif message.source.id == "requests" and message.index < len(self._shown):
            # On the newest one the cursor follows what comes.
            self._request = self._shown[message.index].id if message.index else None
        self._draw_again()

    def draw(self, known: Situation, moment: float) -> None:  # noqa: ARG002
        """Draw the page that is seen, once it has been laid out."""
        self._known = known
        if not self.query("#served-lines") or not self.query_one("#serving-pages").size:
            return
        self._rows = served(known.pulse.environments)
        match self._page:
            case "request":
                self.query_one(RequestPage).draw(self._logged, self._signature())
            case "try it":
                self.query_one(AskPage).draw()
            case "replay":
                self.query_one(ReplayPage).draw()
            case _:
                self._draw_list(known)
                self._draw_charts(known)
                self._draw_requests()

    def _draw_list(self, known: Situation) -> None:
        listed, detail = self.query_one("#served", LineList), self.query_one("#served-lines", Drawn)
        row, rows = self._selected, self._rows
        table = ServedTable(rows, known.pulse.points, known.switching)
        listed.styles.height = max(_LEAST_LIST, len(rows) + listed.gutter.height)
        drawn = [table.row(index, listed.line_width) for index in range(len(rows))]
        listed.show_lines(drawn)
        if row is not None:
            listed.put_cursor(rows.index(row))
        entitle(listed, line(("Serving", "bold")))
        detail.show(detail_lines(row, detail.width) if row is not None else [])
        entitle(self.query_one("#served-detail"), line((_named(row), "bold")))

    def _draw_charts(self, known: Situation) -> None:
        box, drawn, row = (
            self.query_one("#charts-box"),
            self.query_one("#charts", Drawn),
            self._selected,
        )
        size = (self.query_one("#serving-right").size, drawn.width)
        now_charted = (id(known.pulse), known.switching, row and row.place, size)
        if self._charted == now_charted:
            return
        self._charted = now_charted
        trail = self._trails.get(row.place) if row is not None else None
        right, told = self.query_one("#serving-right").size.height, ""
        height = min(max(round(right * _CHARTS_SHARE), _LEAST_CHARTS), right - _LEAST_LOG)
        if row is None or not row.environment.status.pid or not row.environment.status.serving:
            lines = nothing_served(known, row, drawn.width)
        elif trail is None:
            lines = no_traffic(row, drawn.width)
        else:
            room = max(1, height - box.gutter.height)
            span = span_of(trail.points)
            lines = chart_lines(trail.points, drawn.width, room, span)
            told = f"last {plural(round(span / 60), 'minute')}".replace(" 1 ", " ")
        drawn.show(lines)
        entitle(box, line((_named(row), "bold")), line((told, "$quiet")))

    def _draw_requests(self) -> None:
        listed, found = self.query_one("#requests", LineList), self._requests
        is_its = found.question == self.requests_question
        rows = found.rows if is_its else ()
        now_shown = (rows, self._words, listed.line_width)
        if now_shown != self._shown_for:
            self._shown_for = now_shown
            self._shown = tuple(row for row in rows if self._words in text_of(row))
            table = RequestTable(self._shown)
            listed.show(len(table), table.row)
            ids = [row.id for row in self._shown]
            listed.put_cursor(ids.index(self._request) if self._request in ids else 0)
        listed.display = self._selected is not None
        entitle(listed, line(("Requests", "bold")), self._counted(rows))

    def _counted(self, rows: tuple[LoggedRequest, ...]) -> Content:
        """What is shown of the log, or what to do where it is empty."""
        found, row = self._requests, self._selected
        if found.problem:
            return line((f"✗ {found.problem}", "bold $fail"))
        if self._words:
            return line((f"{len(self._shown)} of {len(rows)} with “{self._words}”", "$quiet"))
        if rows:
            following = "following" if self._request is None else "home follows the newest"
            return line((f"{following}, enter opens", "$quiet"))
        if row is not None and not row.environment.settings.log_requests:
            return line(("log_requests = 0: none is logged", "$quiet"))
        return line(("none yet: a asks the model", "$quiet"))

    def _ask(self) -> None:
        """The form for what is under the cursor; on a request's page with its inputs."""
        situation = self.situated(self._known)
        version, row, logged = asked_version(situation), situation.served, situation.logged
        if version is None or row is None:
            return
        inputs = None
        if self._page == REQUEST and logged is not None and logged.inputs and not logged.is_rows:
            inputs = logged.inputs
        status = row.environment.status
        is_live = status.serving.get(version.name) == version.version
        number = None if is_live and not row.version else version.version
        page = self.query_one(AskPage)
        page.open(row.environment, version, number, inputs)
        self._turn_to(ASKING)

    def _open_request(self) -> None:
        if self._logged is not None:
            self._request = self._logged.id
            self._turn_to(REQUEST)

    def _step(self, by: int) -> None:
        """The request before or after the one that is open."""
        ids = [row.id for row in self._shown]
        if self._request in ids:
            self._request = ids[max(0, min(len(ids) - 1, ids.index(self._request) + by))]

    def _back(self) -> None:
        """From a page to the screen itself; there drop the filter, then follow the newest."""
        if self._page != SERVING:
            self._turn_to(SERVING)
        elif self._words:
            self._words = ""
        else:
            self._request = None
            self._shown_for = ()
            self.query_one("#served").focus()

    def _signature(self) -> Signature | None:
        row, logged = self._selected, self._logged
        if row is None or logged is None or not logged.version.isdecimal():
            return None
        found = row.environment.deployed(logged.model, int(logged.version))
        return found.signature if found is not None else None

    def _turn_to(self, page: str) -> None:
        self._page = page
        switcher = self.query_one("#serving-pages", ContentSwitcher)
        switcher.current = "try-it" if page == ASKING else page
        self.take_focus()
        self.call_after_refresh(self._draw_again)

    def _draw_again(self) -> None:
        self.draw(self._known, now())


def _named(row: Served | None) -> str:
    if row is None:
        return ""
    return (
        f"{row.environment.name}  {row.model} v{row.version}" if row.model else row.environment.name
    )
