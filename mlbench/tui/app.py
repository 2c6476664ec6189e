"""The workbench itself: the frame, the one timer, and where all that is heard and read meets."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import ContentSwitcher

from mlbench.domain.commands import Command, SetWatch
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import (
    CandidateKept,
    CommandDone,
    Notice,
    PlanMade,
    Promoted,
    RunFinished,
    TrafficChanged,
)
from mlbench.domain.runs import Run
from mlbench.tui import deeds, errands
from mlbench.tui.actions import ACTIONS, for_key
from mlbench.tui.background import Broken
from mlbench.tui.board import update_all
from mlbench.tui.draw.bars import SCREENS, top_pieces
from mlbench.tui.draw.keys import key_pieces
from mlbench.tui.draw.status import status_pieces
from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.history import History, HistoryQuestion
from mlbench.tui.leaving import Leaving
from mlbench.tui.line import Heard, Line, LineLost
from mlbench.tui.memory import Memory, load_memory, save_memory
from mlbench.tui.palette import ActionProvider
from mlbench.tui.readers import Readers
from mlbench.tui.reading import Head, Releases, Surroundings, now
from mlbench.tui.record_hand import RecordHand
from mlbench.tui.recording import Recording
from mlbench.tui.releasing import Releasing
from mlbench.tui.screens.models import ModelsPane
from mlbench.tui.screens.pane import Pane
from mlbench.tui.screens.pipeline import PipelinePane
from mlbench.tui.screens.runs import RunsPane
from mlbench.tui.serving import Serving
from mlbench.tui.situation import Situation, with_surroundings
from mlbench.tui.sweep_hand import SweepHand
from mlbench.tui.sweeping import Sweeping
from mlbench.tui.themed import Themed
from mlbench.tui.toasts import Severity, toasts_for
from mlbench.tui.widgets.filter_line import FilterLine
from mlbench.tui.widgets.piece_bar import PieceBar

_TICK_SECONDS = 1 / 8
_TALL = 30
_SCREENS = [name for name, _, _ in SCREENS]


class Told(Message):
    """A background thread has something new."""

    def __init__(self, value: object) -> None:
        """Carry it."""
        self.value = value
        super().__init__()


class Workbench(Recording, Releasing, Serving, Sweeping, Themed, Leaving, App[int]):
    """The app; gives the exit status that the process should end with."""

    TITLE = "mlbench"
    CSS_PATH = "workbench.tcss"
    COMMANDS = {ActionProvider}  # noqa: RUF012
    ESCAPE_TO_MINIMIZE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (_TALL, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"key('{key}')", action.label, show=False, priority=key.startswith("ctrl"))
        for action in ACTIONS
        for key in action.key.split(",")
    ]

    def __init__(self, folder: Path) -> None:
        """Show the project that this folder belongs to; UsageError where there is none."""
        self.readers = Readers(folder, lambda value: self.post_message(Told(value)))
        self.root = self.readers.root
        self._memory_path = self.root / ".mlbench" / "workbench.json"
        self.memory = load_memory(self._memory_path)
        super().__init__()
        self.animation_level = "none"
        self.start_themes(self.memory.theme)
        self.line = Line(folder, lambda value: self.post_message(Told(value)))
        self.record = RecordHand(folder, lambda value: self.post_message(Told(value)))
        self.sweep_hand = SweepHand(folder, lambda value: self.post_message(Told(value)))
        self.known = Situation()
        self.trails = {}
        self._ticks = 0
        self._asked: StageQuestion | None = None
        self._told_broken: set[str] = set()
        self._errands = errands.Errands()

    def compose(self) -> ComposeResult:
        """The frame: one line above, the screens, the filter, two lines below."""
        memory = self.memory
        question = HistoryQuestion(
            memory.runs_filter, memory.runs_everything, memory.runs_sort, memory.runs_descending
        )
        yield PieceBar(id="top")
        with ContentSwitcher(
            initial=_pane_id(memory.screen if memory.screen in _SCREENS else "pipeline"), id="panes"
        ):
            yield PipelinePane(id=_pane_id("pipeline"))
            yield RunsPane(
                question,
                memory.runs_columns,
                only_differences=memory.runs_only_differences,
                id=_pane_id("runs"),
            )
            if memory.screen == "sweeps":
                yield self.new_sweeps_pane()
            yield ModelsPane(id=_pane_id("models"))
            if memory.screen == "serving":
                yield self.new_serving_pane()
        yield FilterLine()
        yield PieceBar(id="status")
        yield PieceBar(id="keys")

    def on_mount(self) -> None:
        """Begin to listen, to read and to draw."""
        self.tell_theme_faults()
        self.listen_to_signals()
        self.line.start()
        self.line.send(SetWatch(True))
        self.readers.refresh_all(self.query_one(RunsPane).question)
        self.pane.take_focus()
        self.set_interval(_TICK_SECONDS, self._tick)
        self.call_after_refresh(self._draw)

    def on_app_focus(self) -> None:
        """Whoever comes back from an editor sees what was saved, whatever the system told."""
        self.line.look()

    @property
    def pane(self) -> Pane:
        """The screen that is seen."""
        current = self.query_one("#panes", ContentSwitcher).current
        return self.query_one(f"#{current}", Pane)

    @property
    def situation(self) -> Situation:
        """Everything that is known, with what is under the cursor."""
        return self.pane.situated(self.known)

    def act(self, name: str) -> None:
        """Do an action, or say why it can't be done."""
        deeds.do(self, name)

    def action_key(self, key: str) -> None:
        """What a key does here and now; the modal pages have keys of their own."""
        if len(self.screen_stack) > 1:
            if key == "ctrl+q":
                self.screen.dismiss(None)
            return
        action = for_key(key, self.situation.screen)
        if action is not None:
            self.act(action.id)

    def send(self, command: Command) -> None:
        """Hand a command to the loop; its answer comes back as a toast."""
        self.line.send(command)
        self._errands = errands.sent(self._errands, command)
        self.known = replace(self.known, errand=self._errands.text)

    def tell(self, message: str, severity: Severity = "information", title: str = "") -> None:
        """Show a toast; what others wrote is never taken for markup."""
        self.notify(message, title=title, severity=severity, markup=False)

    def turn_to(self, screen: str) -> None:
        """Show another screen."""
        if screen == "serving":
            self.make_serving_pane()
        if screen == "sweeps":
            self.make_sweeps_pane()
        self.query_one("#panes", ContentSwitcher).current = _pane_id(screen)
        self.query_one(FilterLine).close()
        self.pane.take_focus()
        self.remember(replace(self.memory, screen=screen))
        self.call_after_refresh(self._draw)

    def open_run(self, run: Run) -> None:
        """Show one run in full on its screen."""
        self.turn_to("runs")
        self.query_one(RunsPane).open_run(run)

    def open_filter(self) -> None:
        """Type a filter for the list that has the focus."""
        text = self.pane.filter_text
        self.query_one(FilterLine).open(self.pane.filter_hint, text)

    def remember(self, memory: Memory) -> None:
        """Keep this for the next day."""
        if memory != self.memory:
            self.memory = memory
            save_memory(self._memory_path, memory)

    def on_told(self, message: Told) -> None:
        """Take in what a background thread has found."""
        if not self.is_running:
            return
        match message.value:
            case Heard() as heard:
                self._hear(heard)
            case LineLost(error, is_final):
                self._lose(error, is_final)
            case Surroundings() as found:
                self.known = with_surroundings(self.known, found)
            case Head() as head:
                self.known = replace(self.known, head=head)
            case Releases() as releases:
                self.known = replace(self.known, releases=releases)
                self.models_pane.look_again()
            case History() as history:
                self.known = replace(self.known, history=history)
                self.query_one(FilterLine).say(history.error)
            case StageDetail() as detail if detail.question == self._asked:
                self.pane.show_detail(detail)
                # The next tick would be an eighth of a second later.
                self._draw()
            case Broken(text) if text not in self._told_broken:
                self._told_broken.add(text)
                self.tell(text, "error")
            case other:
                self.take_of_serving(other)
                self.take_of_sweeping(other)
                self.take_of_release(other)
                self.take_of_record(other)
                self._draw()

    def on_resize(self) -> None:
        """Draw for the new size at once."""
        self.call_after_refresh(self._draw)

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """Tabs, badges and keys can be clicked."""
        self.act(message.action)

    def on_line_list_chosen(self) -> None:
        """A double click opens, as enter does."""
        self.action_key("enter")

    def on_filter_line_changed(self, message: FilterLine.Changed) -> None:
        """Filter as the user types."""
        self.pane.filter(message.text)

    def on_filter_line_left(self) -> None:
        """Back to the list."""
        self.pane.take_focus()

    def _hear(self, heard: Heard) -> None:
        before = self.known.board
        board = update_all(before, heard.events)
        if heard.holds_loop and self.known.attached and before.watching:
            # The holder is gone and took its watch along.
            self.line.send(SetWatch(True))
        self._errands = errands.heard(self._errands, heard.events, heard.replies)
        self.known = replace(
            self.known,
            board=board,
            attached=not heard.holds_loop,
            errand=self._errands.text,
            refusals=errands.refusals(self.known.refusals, heard.events, heard.replies),
        )
        for toast in toasts_for(heard.events, heard.replies):
            self.tell(toast.message, toast.severity, toast.title)
        kinds = {type(event) for event in heard.events}
        if kinds & {RunFinished, Promoted, CandidateKept, CommandDone, TrafficChanged}:
            self.readers.releases.ask(None)
        if kinds & {RunFinished, Promoted, Notice}:
            self.readers.surroundings.ask(None)
        if kinds & {RunFinished, PlanMade}:
            self.readers.head.ask(None)
        if self._asked is not None and heard.events:
            # What ended has written its last line, which no tick may come to ask for.
            self.readers.stage.ask(self._asked)
        if RunFinished in kinds:
            self.readers.history.ask(self.query_one(RunsPane).question)
        self._draw()

    def _lose(self, error: MlbenchError, is_final: bool) -> None:
        if is_final:
            self.exit(error.exit_status, return_code=error.exit_status, message=str(error))
        else:
            self.tell(str(error), "error")

    def _tick(self) -> None:
        if not self.is_running:
            return
        self._ticks += 1
        self.readers.tick(self._ticks * _TICK_SECONDS)
        self.look_at_servers(self._ticks * _TICK_SECONDS)
        self.look_at_sweeps(self._ticks * _TICK_SECONDS)
        is_second = self._ticks % 8 == 0
        if is_second:
            self.look_at_themes()
        question = self.pane.stage_question(self.known)
        is_new, self._asked = question != self._asked, question
        if question is not None and (is_new or is_second or self.pane.goes_on(self.known)):
            self.readers.stage.ask(question)
        self.pane.tick()
        self._draw()

    @property
    def _key_lines(self) -> int:
        return 2 if self.size.height >= _TALL else 1

    def _draw(self) -> None:
        if len(self.screen_stack) > 1:
            return
        pane = self.pane
        if not pane.size:
            return  # nothing can be drawn to measure before the first layout
        pane.draw(self.known, now())
        situation = self.situation
        left, right = top_pieces(
            pane.id.removeprefix("pane-") if pane.id else "",
            situation.board,
            situation.surroundings,
            situation.head,
            attached=situation.attached,
            width=self.size.width,
            pulse=situation.pulse,
            sweeping=self.known.sweeps.running,
        )
        self.query_one("#top", PieceBar).show(left, right)
        self.query_one("#status", PieceBar).show(*status_pieces(situation, self.size.width))
        self.query_one("#keys", PieceBar).show(key_pieces(situation), most_lines=self._key_lines)


def run(folder: Path) -> int:
    """Open the workbench on the project that a folder belongs to; gives the exit status.

    UsageError where there is no project.
    """
    workbench = Workbench(folder)
    # What was imported stays; a collection that looked at it again would hold the screen up.
    gc.freeze()
    result = workbench.run()
    return result if result is not None else workbench.return_code or 0


def _pane_id(screen: str) -> str:
    return f"pane-{screen}"
