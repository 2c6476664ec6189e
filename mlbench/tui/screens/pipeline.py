"""Screen 1: what runs, why, is it better, can I ship it."""

from __future__ import annotations

from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from mlbench.domain.curves import Curve
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.phrases import clock, plural
from mlbench.domain.runs import TestCounts
from mlbench.domain.stages import Project
from mlbench.tui.board import Board, Phase, StageView, followed
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.empty import no_gates, no_stages_yet, problem_lines
from mlbench.tui.draw.gates import gates_by_model
from mlbench.tui.draw.history import recent_lines
from mlbench.tui.draw.lanes import Lane, lanes, stage_lines
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.stage import stage_head
from mlbench.tui.draw.story import objective_metric
from mlbench.tui.draw.sweeps import sweeping_line
from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.screens.pane import Pane
from mlbench.tui.situation import PIPELINE, Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.log_box import LogBox
from mlbench.tui.widgets.piece_bar import PieceBar
from mlbench.tui.widgets.single_tests import SingleTests

_LEAST_RECENT = 4


class PipelinePane(Pane):
    """Stages and gates at the left, the stage under the cursor at the right."""

    filter_hint = "stages whose name contains …"

    def __init__(self, *, id: str | None = None) -> None:
        """Begin by following the run."""
        super().__init__(id=id)
        self._stage: str | None = None
        self._is_following = True
        self._words = ""
        self._lanes: tuple[Lane, ...] = ()
        self._needs: dict[str, tuple[str, ...]] = {}
        self._curves: tuple[Curve, ...] = ()
        self._question: StageQuestion | None = None

    def compose(self) -> ComposeResult:
        """Two columns, or one above the other where the terminal is narrow."""
        with Vertical(id="left"):
            yield LineList(id="stages")
            yield Drawn(id="gates")
            yield PieceBar(id="sweeping")
            yield LineList(id="recent", is_selection=False)
        with Vertical(id="stage"):
            yield Drawn(id="stage-head")
            yield SingleTests(id="stage-tests")
            yield LogBox(id="stage-log")

    def situated(self, known: Situation) -> Situation:
        """What is known, with the stage under the cursor."""
        recent = self.query_one("#recent", LineList)
        runs, cursor = known.history.recent, recent.cursor
        is_chosen = recent.has_focus and cursor is not None and cursor < len(runs)
        run = runs[cursor] if is_chosen and cursor is not None else None
        return replace(known, screen=PIPELINE, stage=self._stage, run=run)

    def take_focus(self) -> None:
        """The stages have the focus at first."""
        self.query_one("#stages", LineList).focus()

    def act(self, action: str) -> bool:
        """Go to the log or the tests; back to the stages and to following the run."""
        if action == "log":
            self.query_one(LogBox).view.focus()
            return True
        if action == "tests":
            self.query_one(SingleTests).listed.focus()
            return True
        if action == "back":
            self._is_following = True
            self.take_focus()
            return True
        return False

    def filter(self, text: str) -> None:
        """Filter the stages, or the log or tests where these had the focus."""
        match self._filters:
            case "log":
                self.query_one(LogBox).view.set_filter(text)
            case "tests":
                self.query_one(SingleTests).set_filter(text)
            case _:
                self._words = text.strip().lower()

    @property
    def filter_text(self) -> str:
        """The filter of the stages, the log or the tests: of what has the focus."""
        log, tests = self.query_one(LogBox).view, self.query_one(SingleTests)
        if log.has_focus:
            self._filters, self.filter_hint = "log", "log lines with …"
            return log.filter_words
        if tests.listed.has_focus:
            self._filters, self.filter_hint = "tests", "tests whose id or outcome contains …"
            return tests.filter_words
        self._filters, self.filter_hint = "stages", PipelinePane.filter_hint
        return self._words

    _filters = "stages"

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """The user chose a stage: the cursor stays there until esc."""
        if message.source.id != "stages":
            return
        self._is_following = False
        self._stage = self._lanes[message.index].name

    def draw(self, known: Situation, now: float) -> None:
        """Stages, gates, the stage under the cursor."""
        board = known.board
        self._place(board, known.surroundings.project)
        self._draw_stages(board, now)
        self._draw_gates(known)
        self._draw_sweeps(known, now)
        self._draw_recent(known, now)
        self._clear_what_is_anothers(known)
        self._draw_stage(known, now)
        self.query_one(LogBox).draw()

    def stage_question(self, known: Situation) -> StageQuestion | None:
        """The stage under the cursor: in the run that runs it, else as the last run has it."""
        stage = known.board.stage(self._stage)
        if stage is None:
            return None
        last = known.board.last if stage.outcome is not None else None
        passed = (run.id for run in known.history.recent if run.outcome is RunOutcome.PASSED)
        recorded = (last.run if last is not None else None) or next(passed, None)
        live = stage.run if stage.phase is not Phase.WAITING else None
        return StageQuestion(stage.name, live, None if live else recorded)

    def show_detail(self, detail: StageDetail) -> None:
        """Show the log and curves of the stage that was asked for."""
        if detail.question.stage == self._stage:
            self._curves = detail.curves
            self._question = detail.question
            self.query_one(LogBox).show(detail)
            self.query_one(SingleTests).show(detail)

    def _place(self, board: Board, project: Project | None) -> None:
        """Work the lanes out anew where the graph changed, and move a cursor that follows."""
        shown = [stage for stage in board.stages if self._words in stage.name.lower()]
        needs = {stage.name: stage.needs for stage in shown}
        if needs != self._needs:
            self._needs, self._lanes = needs, lanes(needs)
        if board.stage(self._stage) is None and self._lanes:
            # The stage that makes the model is what one looks at most.
            makers = [model.stage for model in project.models] if project else []
            names = [lane.name for lane in self._lanes]
            self._stage = next((name for name in makers if name in names), names[0])
        if self._is_following:
            self._stage = followed(board, self._stage)

    def _draw_stages(self, board: Board, now: float) -> None:
        listed = self.query_one("#stages", LineList)
        width = listed.line_width
        drawn = stage_lines(board.stages, self._lanes, width, now)
        listed.show_lines(drawn)
        names = [lane.name for lane in self._lanes]
        if self._stage in names:
            listed.put_cursor(names.index(self._stage))
        entitle(listed, line(("Pipeline", "bold")), _progress(board, now))
        listed.styles.height = max(1, len(drawn)) + listed.gutter.height

    def _draw_gates(self, known: Situation) -> None:
        box = self.query_one("#gates", Drawn)
        last, rows = known.board.last, known.releases.rows
        gates, name, run = (last.gates, last.name, last.run) if last is not None else ((), "", "")
        if not gates and rows:
            run = rows[0].candidate.run
            gates = tuple(
                g for row in rows if row.candidate.run == run for g in row.candidate.gates
            )
            name = rows[0].run.name if rows[0].run else ""
        tests = _tests_of(run, known)
        if self.screen.has_class("-narrow"):
            # There only the first few are seen, so what holds the model back comes first.
            gates = tuple(sorted(gates, key=lambda gate: gate.passed is not False))
        lines = gates_by_model(gates, box.width, tests) or no_gates(known, box.width)
        box.show(lines)
        entitle(box, line(("Gates", "bold")), line((name, "$quiet")))

    def _draw_sweeps(self, known: Situation, now: float) -> None:
        """A line for the sweep that runs; a click on it leads to screen 3."""
        bar, running = self.query_one("#sweeping", PieceBar), known.sweeps.running
        bar.display = bool(running)
        if running:
            width = max(8, self.query_one("#left").content_size.width - 2)
            text = sweeping_line(running[0], now, width)
            bar.show([Piece(line(" ", text), "screen-sweeps")])

    def _draw_recent(self, known: Situation, now: float) -> None:
        listed, history = self.query_one("#recent", LineList), known.history
        width = listed.line_width
        project = known.surroundings.project
        metric, direction = objective_metric(project.objective if project else None)
        drawn = recent_lines(history.recent, history.before, metric, direction, width, now)
        listed.show_lines(drawn)
        left = self.query_one("#left").size.height
        above = sum(
            self.query_one(name).outer_size.height for name in ("#stages", "#gates", "#sweeping")
        )
        listed.display = bool(drawn) and left - above >= _LEAST_RECENT
        entitle(listed, line(("Recent runs", "bold"), (f"  {metric or ''}", "$quiet")))

    def _draw_stage(self, known: Situation, now: float) -> None:
        box, head = self.query_one("#stage"), self.query_one("#stage-head", Drawn)
        stage = known.board.stage(self._stage)
        problem = known.board.problem or known.surroundings.problem
        room = max(3, box.content_size.height)
        if problem:
            entitle(box, line(("Mend this first", "bold $fail")))
            head.show(problem_lines(problem, head.width))
        elif stage is None:
            entitle(box, line(""))
            head.show(no_stages_yet(known, head.width))
        else:
            entitle(box, line((stage.name, "bold")), self._cursor_words())
            share = 2 if self.query_one(SingleTests).display else 3
            most = room * share // 5
            head.show(stage_head(stage, self._own_curves(stage), head.width, most, now))
        self.query_one(LogBox).display = stage is not None
        self.query_one(SingleTests).draw(max(3, room * 2 // 5))

    def _clear_what_is_anothers(self, known: Situation) -> None:
        """Until the first detail of a stage or of its new run comes, show nothing as its own."""
        asked, shown = self.stage_question(known), self._question
        if asked is None or shown is None:
            return
        is_another_run = asked.live_run not in (None, shown.live_run, shown.recorded_run)
        if asked.stage != shown.stage or is_another_run:
            self._curves, self._question = (), asked
            self.query_one(LogBox).show(StageDetail(asked))
            self.query_one(SingleTests).show(StageDetail(asked))

    def _own_curves(self, stage: StageView) -> tuple[Curve, ...]:
        asked = self._question
        return self._curves if asked is not None and asked.stage == stage.name else ()

    def _cursor_words(self) -> Content:
        return line("") if self._is_following else line(("esc follows the run", "$quiet"))


def _progress(board: Board, now: float) -> Content:
    flight = board.flight
    if board.exporting is not None:
        return line((f"exporting {board.exporting}", "$info"))
    if flight is None:
        stale = sum(
            stage.state is not None and stage.state.word != "fresh" for stage in board.stages
        )
        return line((f"{plural(stale, 'stage')} to run" if stale else "", "$warn"))
    ended = sum(
        board_stage.phase is Phase.ENDED
        for board_stage in board.stages
        if board_stage.name in flight.stages
    )
    counted = f"{ended} of {len(flight.stages)}  {clock(now - flight.started)}"
    return line((flight.name, "bold"), (f"  {counted}", "$quiet"))


def _tests_of(run: str | None, known: Situation) -> TestCounts | None:
    """The single tests of the run that was judged; its stages may be in the next run by now."""
    rows = known.releases.rows
    record = next((row.run for row in rows if row.candidate.run == run and row.run), None)
    if record is not None:
        return next((stage.tests for stage in record.stages.values() if stage.tests), None)
    return next((stage.tests for stage in known.board.stages if stage.tests), None)
