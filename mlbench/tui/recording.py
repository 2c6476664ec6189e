"""The part of the app that has to do with the record: what is asked about it, and changed in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import App

from mlbench.tui.opened import Compared, Curves, Restorable, RunDetail
from mlbench.tui.pictures import Picture
from mlbench.tui.questions import Choice, ask_restore
from mlbench.tui.record_hand import Recorded
from mlbench.tui.screens.run_page import Wanted
from mlbench.tui.screens.run_table import RunTable
from mlbench.tui.screens.runs import RunsPane
from mlbench.tui.widgets.dialog import QuestionDialog
from mlbench.tui.widgets.picture_page import PicturePage

if TYPE_CHECKING:
    from mlbench.domain.commands import Command
    from mlbench.tui.memory import Memory
    from mlbench.tui.readers import Readers
    from mlbench.tui.record_hand import RecordHand
    from mlbench.tui.toasts import Severity


class Recording(App[int]):
    """An app with screen 2; the rest of what it needs is the workbench's."""

    memory: Memory
    readers: Readers
    record: RecordHand

    def remember(self, memory: Memory) -> None:
        """Keep a choice for the next day."""
        raise NotImplementedError

    def tell(self, message: str, severity: Severity = "information", title: str = "") -> None:
        """Show a toast."""
        raise NotImplementedError

    def send(self, command: Command) -> None:
        """Hand a command to the loop."""
        raise NotImplementedError

    @property
    def runs_pane(self) -> RunsPane:
        """Screen 2."""
        return self.query_one(RunsPane)

    def put_into_clipboard(self, sequence: str) -> None:
        """Have the terminal take something into its clipboard."""
        if self._driver is not None:
            self._driver.write(sequence)

    def take_of_record(self, value: object) -> None:
        """Take in what a background thread has found about runs, or done to them."""
        match value:
            case RunDetail() | Compared() | Curves():
                self.runs_pane.take(value)
            case Restorable():
                self._take_restorable(value)
            case Picture() if isinstance(self.screen, PicturePage):
                self.screen.take(value)
            case Recorded():
                self.tell(value.message, "warning" if value.is_refused else "information")
                self.readers.history.ask(self.runs_pane.question)
                self.runs_pane.look_again()

    def on_wanted(self, message: Wanted) -> None:
        """A page needs to know more about the runs that it shows."""
        self.readers.ask(message.question)

    def on_run_table_asked(self, message: RunTable.Asked) -> None:
        """The table of runs needs others, another order or other columns."""
        asked, table = message.question, self.runs_pane.table
        if asked != message.before:
            self.readers.history.ask(asked)
        self.remember(
            replace(
                self.memory,
                runs_sort=asked.sort,
                runs_descending=asked.descending,
                runs_everything=asked.everything,
                runs_filter=asked.text,
                runs_columns=table.chosen,
                runs_only_differences=table.only_differences,
            )
        )

    def on_picture_page_wanted(self, message: PicturePage.Wanted) -> None:
        """A picture is read in the background."""
        self.readers.picture.ask(message.question)

    def _take_restorable(self, found: Restorable) -> None:
        if found.run is None or found.restoration is None:
            self.tell(f"restore: {found.problem}", "warning")
            return
        if not (found.restoration.outs or found.restoration.params):
            said = f"restore: all that {found.run.name} gave and can be brought back is in place"
            self.tell(". ".join((said, *found.restoration.notes)))
            return

        def answered(choice: Choice | None) -> None:
            if choice is not None and not isinstance(choice.value, str):
                self.send(choice.value)

        self.push_screen(QuestionDialog(ask_restore(found.run, found.restoration)), answered)
