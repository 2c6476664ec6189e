"""Screen 2: the history, one run opened, and two side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import ContentSwitcher

from mlbench.domain.runs import Run
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.comparison import comparison
from mlbench.tui.draw.empty import no_runs
from mlbench.tui.draw.history import (
    Column,
    columns_for,
    gated_names,
    header_cells,
    metric_names,
    run_line,
)
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.run_page import run_facts, stage_rows
from mlbench.tui.draw.stage import curve_lines
from mlbench.tui.draw.story import objective_metric
from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.reading import HistoryQuestion, now
from mlbench.tui.screens.pane import Pane
from mlbench.tui.situation import COMPARISON, RUN, RUNS, Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.log_box import LogBox
from mlbench.tui.widgets.piece_bar import PieceBar
from mlbench.tui.widgets.single_tests import SingleTests
from mlbench.tui.words import plural

_SORT = "sort:"


class RunsPane(Pane):
    """The table of runs; a run or a comparison takes its place until esc."""

    filter_hint = "words, or an expression such as accuracy >= 0.95 and train.alpha < 1"

    class Asked(Message):
        """The table needs other runs, or another order."""

        def __init__(self, question: HistoryQuestion) -> None:
            """Carry what is asked."""
            self.question = question
            super().__init__()

    def __init__(self, question: HistoryQuestion, *, id: str | None = None) -> None:
        """Begin with the question that was asked last time."""
        super().__init__(id=id)
        self.question = question
        self._known = Situation()
        self._columns: tuple[Column, ...] = ()
        self._marked: list[Run] = []
        self._run_id: str | None = None
        self._opened: Run | None = None

    def compose(self) -> ComposeResult:
        """Three pages in one place."""
        with ContentSwitcher(initial=RUNS, id="runs-pages"):
            with Vertical(id=RUNS):
                yield PieceBar(id="runs-header")
                yield Drawn(id="runs-empty")
                yield LineList(id="runs-list")
            with Vertical(id=RUN):
                with Vertical(id="run-left"):
                    with VerticalScroll(id="run-facts-box"):
                        yield Drawn(id="run-facts")
                    yield LineList(id="run-stages")
                with Vertical(id="run-right"):
                    yield Drawn(id="run-curves")
                    yield SingleTests(id="run-tests")
                    yield LogBox(id="run-log")
            with Vertical(id=COMPARISON):
                yield LineList(id="comparison-list")

    @property
    def page(self) -> str:
        """Which of the three pages is seen."""
        return self.query_one("#runs-pages", ContentSwitcher).current or RUNS

    def situated(self, known: Situation) -> Situation:
        """What is known, with the run under the cursor."""
        run = self._opened if self.page != RUNS else self._selected
        stage = self._opened_stage if self.page == RUN else None
        return replace(known, screen=self.page, run=run, stage=stage, marked=len(self._marked))

    def take_focus(self) -> None:
        """The list of the page has the focus."""
        lists = {RUNS: "#runs-list", RUN: "#run-stages", COMPARISON: "#comparison-list"}
        self.query_one(lists[self.page], LineList).focus()

    def act(self, action: str) -> bool:
        """Everything that only this screen has."""
        doings: dict[str, Callable[[], None]] = {
            "open": self._open_selected,
            "mark": self._mark,
            "compare": lambda: self._turn_to(COMPARISON),
            "sort": self._sort_by_next,
            "reverse": lambda: self._ask(descending=not self.question.descending),
            "everything": lambda: self._ask(everything=not self.question.everything),
            "log": self._to_log,
            "tests": self._to_tests,
            "back": self._back,
        }
        if action not in doings:
            return False
        doings[action]()
        return True

    def open_run(self, run: Run) -> None:
        """Show one run in full."""
        self._opened = run
        self._turn_to(RUN)

    def filter(self, text: str) -> None:
        """Ask for the runs that hold this filter, or filter the opened run's log."""
        if self.page == RUN:
            self.query_one("#run-log", LogBox).view.set_filter(text)
        else:
            self._ask(text=text)

    @property
    def filter_text(self) -> str:
        """The filter of the table, or of the log."""
        is_log = self.page == RUN
        self.filter_hint = "log lines with …" if is_log else RunsPane.filter_hint
        return (
            self.query_one("#run-log", LogBox).view.filter_words if is_log else self.question.text
        )

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Remember the run itself, for runs come and go above it."""
        selected = self._selected
        if message.source.id == "runs-list" and selected is not None:
            self._run_id = selected.id

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """A click on a title sorts by it, a second one turns the order round."""
        if not message.action.startswith(_SORT):
            return
        message.stop()
        key = message.action.removeprefix(_SORT)
        again = key == (self.question.sort or "started")
        self._ask(sort=key, descending=not self.question.descending if again else True)

    def stage_question(self, known: Situation) -> StageQuestion | None:  # noqa: ARG002
        """The log of the opened run's stage under the cursor."""
        stage = self._opened_stage
        if self.page != RUN or self._opened is None or stage is None:
            return None
        return StageQuestion(stage, recorded_run=self._opened.id)

    def show_detail(self, detail: StageDetail) -> None:
        """Show the log that was asked for."""
        self.query_one("#run-log", LogBox).show(detail)
        self.query_one(SingleTests).show(detail)
        box = self.query_one("#run-curves", Drawn)
        room = self.query_one("#run-right").content_size.height // 2
        box.show(curve_lines(detail.curves, box.width, room) if detail.curves else [])
        box.display = bool(detail.curves)

    def draw(self, known: Situation, moment: float) -> None:
        """Draw the page that is seen, once it has been laid out."""
        self._known = known
        if not self.query_one(f"#{self.page}").size:
            return
        match self.page:
            case "run":
                self._draw_run()
            case "comparison":
                self._draw_comparison()
            case _:
                self._draw_table(moment)

    @property
    def _selected(self) -> Run | None:
        cursor = self.query_one("#runs-list", LineList).cursor
        runs = self._known.history.runs
        return runs[cursor] if cursor is not None and cursor < len(runs) else None

    @property
    def _opened_stage(self) -> str | None:
        cursor = self.query_one("#run-stages", LineList).cursor
        names = list(self._opened.stages) if self._opened else []
        return names[cursor] if cursor is not None and cursor < len(names) else None

    def _ask(self, **changes: object) -> None:
        self.question = replace(self.question, **changes)  # type: ignore[arg-type]
        self.post_message(self.Asked(self.question))

    def _draw_again(self) -> None:
        self.draw(self._known, now())

    def _back(self) -> None:
        """From a page to the table; on the table drop the marks, and then the filter."""
        if self.page != RUNS:
            self._turn_to(RUNS)
        elif self._marked:
            self._marked.clear()
        elif self.question.text:
            self._ask(text="")

    def _to_log(self) -> None:
        self.query_one("#run-log", LogBox).view.focus()

    def _to_tests(self) -> None:
        self.query_one(SingleTests).listed.focus()

    def _sort_by_next(self) -> None:
        keys = [column.key for column in self._columns if column.key != "changed"]
        current = self.question.sort or "started"
        following = keys[(keys.index(current) + 1) % len(keys)] if current in keys else keys[:1]
        if following:
            self._ask(sort=following)

    def _mark(self) -> None:
        run = self._selected
        if run is None:
            return
        if any(other.id == run.id for other in self._marked):
            self._marked = [other for other in self._marked if other.id != run.id]
        else:
            # Only two can stand side by side, so a third one takes the place of the first.
            self._marked = [*self._marked[-1:], run]
        self.query_one("#runs-list", LineList).action_move(1)

    def _open_selected(self) -> None:
        if len(self._marked) == 2:
            self._turn_to(COMPARISON)
        elif self._selected is not None:
            self.open_run(self._selected)

    def _turn_to(self, page: str) -> None:
        self.query_one("#runs-pages", ContentSwitcher).current = page
        self.take_focus()
        self.call_after_refresh(self._draw_again)

    def _draw_table(self, moment: float) -> None:
        known, history = self._known, self._known.history
        listed, titles = (
            self.query_one("#runs-list", LineList),
            self.query_one("#runs-header", PieceBar),
        )
        empty = self.query_one("#runs-empty", Drawn)
        width = listed.line_width
        project = known.surroundings.project
        seen = listed.in_sight()
        sample = history.runs[seen.start : seen.stop] or history.runs[:50]
        objective, _ = objective_metric(project.objective if project else None)
        metrics = metric_names(sample, objective, gated_names(project))
        self._columns = columns_for(sample, metrics, width)
        asked = history.question
        titles.show(
            [Piece(line("   "))]
            + [
                Piece(content, _SORT + column.key)
                for column, content in header_cells(
                    self._columns, asked.sort, descending=asked.descending
                )
            ]
        )
        empty.display = not history.runs
        titles.display = bool(history.runs)
        empty.show(no_runs(known, empty.width))
        marked = {run.id for run in self._marked}

        def drawn(index: int, _: int) -> Content:
            run = history.runs[index]
            before = history.before.get(run.id)
            return run_line(run, before, self._columns, moment, marked=run.id in marked)

        listed.show(len(history.runs), drawn)
        places = {run.id: index for index, run in enumerate(history.runs[:2000])}
        if self._run_id in places:
            listed.put_cursor(places[self._run_id])
        entitle(self.query_one(f"#{RUNS}"), line(("Runs", "bold")), self._counted())

    def _counted(self) -> Content:
        history = self._known.history
        parts = [plural(len(history.runs), "run") + f" of {history.total}"]
        parts += ["failed and cancelled too"] if history.question.everything else []
        parts += [f"/{history.question.text}"] if history.question.text else []
        parts += [f"{len(self._marked)} marked"] if self._marked else []
        return line((" · ".join(parts), "$quiet"))

    def _draw_run(self) -> None:
        run = self._opened
        if run is None:
            return
        facts, stages = self.query_one("#run-facts", Drawn), self.query_one("#run-stages", LineList)
        facts.show(run_facts(run, self._known.history.before.get(run.id), facts.width))
        rows = stage_rows(run, stages.line_width)
        stages.show(len(rows), lambda index, _: rows[index])
        stages.styles.height = len(rows) + 1
        entitle(self.query_one("#run-left"), line((run.name, "bold")))
        entitle(stages, line(("Stages", "bold")))
        entitle(self.query_one("#run-right"), line((self._opened_stage or "", "bold")))
        tests = self.query_one(SingleTests)
        tests.draw(max(3, self.query_one("#run-right").content_size.height // 2))
        self.query_one("#run-log", LogBox).draw()

    def _draw_comparison(self) -> None:
        if len(self._marked) != 2:
            return
        listed = self.query_one("#comparison-list", LineList)
        older, newer = sorted(self._marked, key=lambda run: run.started)
        lines = comparison(older, newer, max(20, listed.line_width))
        listed.show(len(lines), lambda index, _: lines[index])
        names = f"{older.name} and {newer.name}"
        entitle(listed, line((names, "bold")), line(("esc back", "$quiet")))
