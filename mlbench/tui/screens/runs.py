"""Screen 2: the history, one run opened, and several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.widgets import ContentSwitcher

from mlbench.domain.runs import Run
from mlbench.tui.draw.lines import line
from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.history import HistoryQuestion
from mlbench.tui.opened import Answer, RunDetail
from mlbench.tui.reading import now
from mlbench.tui.screens.comparison import ComparisonPage
from mlbench.tui.screens.pane import Pane
from mlbench.tui.screens.run_page import RunPage
from mlbench.tui.screens.run_table import RunTable
from mlbench.tui.situation import COMPARISON, RUN, RUNS, Situation, compared
from mlbench.tui.widgets.drawn import entitle
from mlbench.tui.widgets.single_tests import SingleTests


class RunsPane(Pane):
    """The table of runs; a run or a comparison takes its place until esc."""

    filter_hint = "words, or an expression such as accuracy >= 0.95 and train.alpha < 1"

    def __init__(
        self,
        question: HistoryQuestion,
        columns: Sequence[str] = (),
        *,
        only_differences: bool = False,
        id: str | None = None,
    ) -> None:
        """Begin with the question and the columns of last time."""
        super().__init__(id=id)
        self._begin = (question, tuple(columns), only_differences)
        self._known = Situation()
        self._came_from = RUNS

    def compose(self) -> ComposeResult:
        """Three pages in one place."""
        question, columns, only_differences = self._begin
        with ContentSwitcher(initial=RUNS, id="runs-pages"):
            yield RunTable(question, columns, only_differences=only_differences, id=RUNS)
            yield RunPage(id=RUN)
            yield ComparisonPage(id=COMPARISON)

    @property
    def question(self) -> HistoryQuestion:
        """Which runs the table shows."""
        return self.table.question

    @property
    def table(self) -> RunTable:
        """The table of runs."""
        return self.query_one(RunTable)

    @property
    def opened(self) -> RunPage:
        """The page of one run."""
        return self.query_one(RunPage)

    @property
    def comparison(self) -> ComparisonPage:
        """The page of runs side by side."""
        return self.query_one(ComparisonPage)

    @property
    def page(self) -> str:
        """Which of the three pages is seen."""
        return self.query_one("#runs-pages", ContentSwitcher).current or RUNS

    def situated(self, known: Situation) -> Situation:
        """What is known, with the run under the cursor."""
        page, opened = self.page, self.opened
        is_run = page == RUN
        saved = opened.detail.saved if is_run and opened.detail else ()
        return replace(
            known,
            screen=page,
            run=self.table.selected if page == RUNS else opened.run if is_run else None,
            stage=opened.stage if is_run else None,
            marked=tuple(self.table.marked.values()) if page == RUNS else (),
            view=self.comparison.view,
            saved=saved,
        )

    def take_focus(self) -> None:
        """The list of the page has the focus."""
        match self.page:
            case "run":
                self.opened.stages.focus()
            case "comparison":
                self.comparison.focused_list.focus()
            case _:
                self.table.listed.focus()

    def act(self, action: str) -> bool:
        """Everything that only this screen has."""
        if self.page == COMPARISON and self.comparison.act(action):
            self._draw_again()
            return True
        table, asked = self.table, self.table.question
        doings: dict[str, Callable[[], None]] = {
            "open": self._open_selected,
            "mark": table.toggle_mark,
            "compare": self._compare,
            "sort": table.sort_by_next,
            "reverse": lambda: table.ask(replace(asked, descending=not asked.descending)),
            "everything": lambda: table.ask(replace(asked, everything=not asked.everything)),
            "differences": table.toggle_differences,
            "log": self._to_log,
            "tests": self._to_tests,
            "back": self._back,
        }
        if action not in doings:
            return False
        doings[action]()
        self._draw_again()
        return True

    def open_run(self, run: Run) -> None:
        """Show one run in full."""
        self.opened.open(run)
        self._turn_to(RUN)

    def compare(self, runs: Sequence[str]) -> None:
        """Put these runs side by side, what is compared with first; esc leads to the table."""
        self._came_from = RUNS
        self.comparison.open(runs)
        self._turn_to(COMPARISON)

    def forget_marks(self) -> None:
        """Mark no run any more."""
        self.table.marked.clear()

    def leave_deleted(self) -> None:
        """Back to the table, for what was opened is gone."""
        self.forget_marks()
        if self.page != RUNS:
            self._turn_to(RUNS)

    def take(self, answer: Answer) -> None:
        """Show what was read about runs."""
        if isinstance(answer, RunDetail):
            self.opened.take(answer)
        else:
            self.comparison.take(answer)

    def goes_on(self, known: Situation) -> bool:
        """Whether a stage runs, or a script that began the opened run by itself."""
        return super().goes_on(known) or (self.page == RUN and self.opened.is_going)

    def tick(self) -> None:
        """Read the opened run anew while it goes on."""
        if self.page == RUN and self.opened.is_going:
            self.opened.look_again()

    def look_again(self) -> None:
        """Read what is opened anew, for the record has changed."""
        if self.page == RUN:
            self.opened.look_again()
        elif self.page == COMPARISON:
            self.comparison.look_again()

    def filter(self, text: str) -> None:
        """Ask for the runs that hold this filter, or filter the opened run's log."""
        if self.page == RUN:
            self.opened.log_box.view.set_filter(text)
        elif self.page == RUNS:
            self.table.ask(replace(self.question, text=text))

    @property
    def filter_text(self) -> str:
        """The filter of the table, or of the log."""
        is_log = self.page == RUN
        self.filter_hint = "log lines with …" if is_log else RunsPane.filter_hint
        return self.opened.log_box.view.filter_words if is_log else self.question.text

    def stage_question(self, known: Situation) -> StageQuestion | None:  # noqa: ARG002
        """The log of the opened run's stage under the cursor."""
        return self.opened.stage_question() if self.page == RUN else None

    def show_detail(self, detail: StageDetail) -> None:
        """Show the log that was asked for."""
        self.opened.show_detail(detail)

    def draw(self, known: Situation, moment: float) -> None:
        """Draw the page that is seen, once it has been laid out."""
        self._known = known
        if not self.query_one(f"#{self.page}").size:
            return
        match self.page:
            case "run":
                self.opened.draw(known)
            case "comparison":
                self.comparison.draw(known)
            case _:
                self.table.draw(known, moment)
                entitle(self.table, line(("Runs", "bold")), self.table.counted())

    def _draw_again(self) -> None:
        self.draw(self._known, now())

    def _back(self) -> None:
        """From a page to where it was opened; on the table drop the marks, then the filter."""
        table = self.table
        if self.page == COMPARISON:
            self._turn_to(self._came_from)
        elif self.page == RUN:
            self._turn_to(RUNS)
        elif table.marked:
            table.marked.clear()
        elif table.question.text:
            table.ask(replace(table.question, text=""))

    def _to_log(self) -> None:
        self.opened.log_box.view.focus()

    def _to_tests(self) -> None:
        self.query_one(SingleTests).listed.focus()

    def _compare(self) -> None:
        runs = compared(self.situated(self._known))
        if len(runs) > 1:
            self._came_from = self.page
            self.comparison.open(runs)
            self._turn_to(COMPARISON)

    def _open_selected(self) -> None:
        if len(self.table.marked) > 1:
            self._compare()
        elif self.table.selected is not None:
            self.open_run(self.table.selected)

    def _turn_to(self, page: str) -> None:
        self.query_one("#runs-pages", ContentSwitcher).current = page
        self.take_focus()
        self.call_after_refresh(self._draw_again)
