"""The part of the app that has to do with sweeps: what is known of them, and done about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from textual.app import App
from textual.widgets import ContentSwitcher

from mlbench.tui.sweep_hand import (
    Begin,
    BeginOnTheSpot,
    FoundRun,
    Previewed,
    SweepDeed,
    SweepDone,
)
from mlbench.tui.sweeping_reading import FoundImportances, Moved, SweepQuestion, Sweeps

if TYPE_CHECKING:
    from mlbench.domain.runs import Run
    from mlbench.tui.app import Workbench
    from mlbench.tui.readers import Readers
    from mlbench.tui.screens.pane import Pane
    from mlbench.tui.screens.sweeps import ImportancesWanted, SweepsPane
    from mlbench.tui.situation import Situation
    from mlbench.tui.sweep_hand import SweepHand
    from mlbench.tui.toasts import Severity

SWEEPS_ID = "pane-sweeps"


class Sweeping(App[int]):
    """An app with screen 3, made when it is first looked at; the rest is the workbench's."""

    readers: Readers
    known: Situation
    sweep_hand: SweepHand

    def tell(self, message: str, severity: Severity = "information", title: str = "") -> None:
        """Show a toast."""
        raise NotImplementedError

    def open_run(self, run: Run) -> None:
        """Show one run in full on its screen."""
        raise NotImplementedError

    @property
    def pane(self) -> Pane:
        """The screen that is seen."""
        raise NotImplementedError

    @property
    def sweeps_pane(self) -> SweepsPane:
        """Screen 3, once it has been looked at."""
        from mlbench.tui.screens.sweeps import SweepsPane

        return self.query_one(SweepsPane)

    def new_sweeps_pane(self) -> SweepsPane:
        """Screen 3, to be mounted; who never looks at it never waits for what it imports."""
        from mlbench.tui.screens.sweeps import SweepsPane

        return SweepsPane(id=SWEEPS_ID)

    def make_sweeps_pane(self) -> None:
        """Mount screen 3, unless it is there."""
        if not self.query(f"#{SWEEPS_ID}"):
            pane = self.new_sweeps_pane()
            pane.display = False
            self.query_one("#panes", ContentSwitcher).mount(pane)

    def look_at_sweeps(self, elapsed: float) -> None:
        """Look at the studies, as often as the screen needs it."""
        is_shown = self.pane.id == SWEEPS_ID
        question = self.sweeps_pane.question if is_shown else self.known.sweeps.question
        self.readers.sweeping.tick(elapsed, question, is_shown=is_shown)
        chosen = self.known.sweeps.chosen
        if is_shown and chosen is not None:
            self.readers.sweeping.look_what_moved(elapsed, chosen.id)

    def on_trial_table_asked(self) -> None:
        """Another order or another study is shown as soon as it is read."""
        self.ask_sweeps(self.sweeps_pane.question)

    def on_importances_wanted(self, message: ImportancesWanted) -> None:
        """Which parameters matter is worked out in the background."""
        self.readers.sweeping.ask_importances(message.question)

    def ask_sweeps(self, question: SweepQuestion) -> None:
        """Read this at once."""
        self.readers.sweeping.ask(question)

    def sweep(self, deed: SweepDeed) -> None:
        """Have something done about sweeps in the background."""
        if isinstance(deed, Begin):
            beginning = (*self.known.beginning, deed.sweep.name)
            self.known = replace(self.known, beginning=beginning)
        if isinstance(deed, Begin | BeginOnTheSpot):
            self.tell("the sweep is beginning …")
        self.sweep_hand.do(deed)

    def take_of_sweeping(self, answer: object) -> None:
        """Take in what a background thread has found about sweeps, or done; leave all else."""
        from mlbench.tui.sweeping_deeds import ask_apply

        match answer:
            case Sweeps():
                going = {study.id for study in answer.running}
                stopping = tuple(name for name in self.known.stopping if name in going)
                self.known = replace(self.known, sweeps=answer, stopping=stopping)
            case SweepDone(message, sweep, is_refused):
                left = tuple(name for name in self.known.beginning if name != sweep)
                self.known = replace(self.known, beginning=left)
                self.tell(message, "error" if is_refused else "information")
            case FoundRun(run):
                self.open_run(run)
            case Previewed():
                ask_apply(cast("Workbench", self), answer)
            case FoundImportances() | Moved():
                self.sweeps_pane.take(answer)
