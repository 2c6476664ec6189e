"""One run opened: its facts and stages at the left; curves, tests and log at the right."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget

from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.run_page import run_facts, stage_rows
from mlbench.tui.draw.stage import curve_lines
from mlbench.tui.draw.story import objective_metric
from mlbench.tui.following import StageDetail, StageQuestion
from mlbench.tui.opened import Question, RunDetail, RunQuestion
from mlbench.tui.situation import Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.log_box import LogBox
from mlbench.tui.widgets.single_tests import SingleTests


class Wanted(Message):
    """A page has to know more about the runs that it shows."""

    def __init__(self, question: Question) -> None:
        """Carry what is asked."""
        self.question = question
        super().__init__()


class RunPage(Widget):
    """Shows what the table knows of a run at once, and the rest as soon as it is read."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with no run."""
        super().__init__(id=id)
        self.run: Run | None = None
        self.detail: RunDetail | None = None
        self._is_new = False

    def compose(self) -> ComposeResult:
        """Two columns, or one above the other where the terminal is narrow."""
        with Vertical(id="run-left"):
            with VerticalScroll(id="run-facts-box"):
                yield Drawn(id="run-facts")
            yield LineList(id="run-stages")
        with Vertical(id="run-right"):
            yield Drawn(id="run-curves")
            yield SingleTests(id="run-tests")
            yield LogBox(id="run-log")

    @property
    def log_box(self) -> LogBox:
        """The log of the stage under the cursor."""
        return self.query_one(LogBox)

    @property
    def stages(self) -> LineList:
        """The run's stages."""
        return self.query_one("#run-stages", LineList)

    @property
    def stage(self) -> str | None:
        """The stage under the cursor."""
        cursor = self.stages.cursor
        names = list(self.run.stages) if self.run else []
        return names[cursor] if cursor is not None and cursor < len(names) else None

    @property
    def is_going(self) -> bool:
        """Whether the run that is shown goes on."""
        return self.run is not None and self.run.outcome is None

    def open(self, run: Run) -> None:
        """Show this run; its folder is read meanwhile."""
        self.run, self.detail, self._is_new = run, None, True
        self.look_again()

    def look_again(self) -> None:
        """Read the run anew: something about it may have changed."""
        if self.run is not None:
            self.post_message(Wanted(RunQuestion(self.run.id)))

    def take(self, detail: RunDetail) -> None:
        """Show what was read, if it is about this run."""
        if self.run is not None and detail.question.run == self.run.id:
            self.detail = detail
            self.run = detail.run or self.run

    def stage_question(self) -> StageQuestion | None:
        """The log of the stage under the cursor."""
        if self.run is None or self.stage is None:
            return None
        return StageQuestion(self.stage, recorded_run=self.run.id)

    def show_detail(self, detail: StageDetail) -> None:
        """Show the log that was asked for."""
        self.log_box.show(detail)
        self.query_one(SingleTests).show(detail)
        box = self.query_one("#run-curves", Drawn)
        room = self.query_one("#run-right").content_size.height // 2
        box.show(curve_lines(detail.curves, box.width, room) if detail.curves else [])
        box.display = bool(detail.curves)

    def draw(self, known: Situation) -> None:
        """Draw everything but what `show_detail` brings."""
        run = self.run
        if run is None:
            return
        project, history = known.surroundings.project, known.history
        objective, direction = objective_metric(project.objective if project else None)
        facts, stages = self.query_one("#run-facts", Drawn), self.stages
        facts.show(
            run_facts(
                run,
                history.before.of(run.id),
                history.baseline,
                facts.width,
                objective=objective,
                direction=direction,
                saved=self.detail.saved if self.detail else (),
                problem=self.detail.problem if self.detail else "",
            )
        )
        rows = stage_rows(run, stages.line_width)
        stages.show_lines(rows)
        stages.styles.height = len(rows) + 1
        if self._is_new:
            self._is_new = False
            stages.put_cursor(_first_stage(run, project))
        entitle(self.query_one("#run-left"), line((run.name, "bold")))
        entitle(stages, line(("Stages", "bold")))
        entitle(self.query_one("#run-right"), line((self.stage or "", "bold")))
        self.query_one(SingleTests).draw(
            max(3, self.query_one("#run-right").content_size.height // 2)
        )
        is_script = run.origin == "script"
        self.log_box.draw("its terminal has it" if is_script else "nothing logged")


def _first_stage(run: Run, project: Project | None) -> int:
    """The place of the stage that one wants to see: what failed, else what makes the model."""
    names = list(run.stages)
    failed = [name for name in names if run.stages[name].outcome is StageOutcome.FAILED]
    makers = [model.stage for model in project.models] if project else []
    wanted = next((name for name in (*failed, *makers) if name in names), None)
    return names.index(wanted) if wanted is not None else 0
