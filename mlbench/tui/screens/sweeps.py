"""Screen 3: the studies of sweeps, one of them in full, its trials as a table, its charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message

from mlbench.domain.outcomes import TrialState
from mlbench.domain.study_analysis import Importances
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.sweeps import detail_lines, head_lines, no_studies, study_rows, trial_lines
from mlbench.tui.reading import now
from mlbench.tui.screens.pane import Pane
from mlbench.tui.screens.trial_table import TrialTable
from mlbench.tui.situation import SWEEPS, Situation
from mlbench.tui.studied import Studied
from mlbench.tui.sweeping_deeds import SWEEPING_DEEDS
from mlbench.tui.sweeping_reading import (
    FoundImportances,
    ImportancesQuestion,
    Moved,
    SweepQuestion,
)
from mlbench.tui.sweeping_rules import jobs_of
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.piece_bar import PieceBar
from mlbench.tui.widgets.study_charts import StudyCharts

if TYPE_CHECKING:
    from mlbench.tui.app import Workbench

BROAD = 110
_LEAST_FOR_BOTH = 26
_CHARTS_SHARE, _MOST_STUDIES = 0.55, 6
_EVERY_TRIALS = 10
_TO_TRIALS, _TO_CHARTS = "view:trials", "view:charts"
_CHART_ACTIONS = {
    "chart": "view", "chart-before": "view-back", "chart-parameter": "parameter",
    "chart-log": "log-scale", "chart-objective": "objective",
}  # fmt: skip


class ImportancesWanted(Message):
    """Which parameters matter has to be worked out."""

    def __init__(self, question: ImportancesQuestion) -> None:
        """Carry what is asked."""
        self.question = question
        super().__init__()


class SweepsPane(Pane):
    """Studies at the left, trials and charts at the right; one above the other where narrow.

    Where there is no room for both, trials and charts take turns.
    """

    filter_hint = "number, state, stage, reason or name=value …"

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with the newest study."""
        super().__init__(id=id)
        self._known = Situation()
        self._study = ""
        self._sees_charts = False
        self._moved: dict[str, tuple[str, ...]] = {}
        self._importances: dict[ImportancesQuestion, tuple[Importances, int]] = {}
        self._asked: ImportancesQuestion | None = None

    def compose(self) -> ComposeResult:
        """Everything, or what stands where there is no study."""
        yield Drawn(id="sweeps-empty")
        with Vertical(id="sweeps") as body:
            body.display = False
            with Vertical(id="sweeps-left"):
                yield LineList(id="studies")
                with VerticalScroll(id="study-box", can_focus=False):
                    yield Drawn(id="study-lines")
                with VerticalScroll(id="trial-box", can_focus=False):
                    yield Drawn(id="trial-lines")
            with Vertical(id="sweeps-right"):
                yield PieceBar(id="sweeps-views")
                yield TrialTable(id="trials")
                yield StudyCharts(id="study-charts")

    @property
    def question(self) -> SweepQuestion:
        """Whose trials are shown, in which order."""
        return self.table.question if self.query("#trials") else SweepQuestion()

    @property
    def table(self) -> TrialTable:
        """The table of trials."""
        return self.query_one(TrialTable)

    @property
    def charts(self) -> StudyCharts:
        """The charts."""
        return self.query_one(StudyCharts)

    @property
    def selected(self) -> Studied | None:
        """The study under the cursor."""
        studies = self._known.sweeps.studies
        found = next((study for study in studies if study.id == self._study), None)
        found = found or next(iter(studies), None)
        if found is None or not self._moved.get(found.id):
            return found
        return replace(found, view=replace(found.view, moved=self._moved[found.id]))

    def situated(self, known: Situation) -> Situation:
        """What is known, with the study and the trial under the cursors."""
        trial = self.table.selected if self.query("#trials-list") else None
        study = self.selected
        chosen = known.sweeps.chosen
        is_its = study is not None and chosen is not None and study.id == chosen.id
        return replace(known, screen=SWEEPS, study=study, trial=trial if is_its else None)

    def take_focus(self) -> None:
        """The table has the focus, or the charts where these are seen instead."""
        if not self.query("#trials-list"):
            self.call_after_refresh(self.take_focus)
        elif self.table.display:
            self.table.listed.focus()
        else:
            self.charts.take_focus()

    def act(self, action: str) -> bool:
        """Everything that only this screen has."""
        doings: dict[str, Callable[[], None]] = {
            "chart": lambda: self._turn(1),
            "chart-before": lambda: self._turn(-1),
            "importances": self._work_out,
            "sort-trials": self.table.sort_by_next,
            "reverse-trials": self._reverse,
            "back": self._back,
        }
        if action in SWEEPING_DEEDS:
            workbench = cast("Workbench", self.app)
            SWEEPING_DEEDS[action](workbench, workbench.situation)
        elif action in doings:
            doings[action]()
        elif action in _CHART_ACTIONS:
            self.charts.act(_CHART_ACTIONS[action])
        else:
            return False
        self._draw_again()
        return True

    def take(self, answer: FoundImportances | Moved) -> None:
        """Show what was worked out."""
        if isinstance(answer, Moved):
            self._moved[answer.study] = answer.inputs
            return
        study = next((s for s in self._known.sweeps.studies if s.id == answer.question.study), None)
        complete = study.counts.get(TrialState.COMPLETE, 0) if study is not None else 0
        self._importances[answer.question] = (answer.found, complete)
        self._asked = None

    def filter(self, text: str) -> None:
        """Show only trials with these words."""
        self.table.ask(replace(self.question, words=text.strip().lower()))

    @property
    def filter_text(self) -> str:
        """The words that shown trials contain."""
        return self.question.words

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Another study: its trials are read."""
        studies = self._known.sweeps.studies
        if message.source.id == "studies" and message.index < len(studies):
            self._study = studies[message.index].id
            self.table.ask(replace(self.question, study=self._study))
        self._draw_again()

    def on_study_charts_pointed(self, message: StudyCharts.Pointed) -> None:
        """A click on a trial in a chart puts the table's cursor on it."""
        message.stop()
        self.table.go_to(message.number)
        self._draw_again()

    def on_study_charts_changed(self, message: StudyCharts.Changed) -> None:
        """Another chart is shown."""
        message.stop()
        self._draw_again()

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """Trials or charts, where they take turns."""
        if message.action in (_TO_TRIALS, _TO_CHARTS):
            message.stop()
            self._see(charts=message.action == _TO_CHARTS)

    def goes_on(self, known: Situation) -> bool:
        """Whether a sweep or a stage runs."""
        return super().goes_on(known) or bool(known.sweeps.running)

    def draw(self, known: Situation, moment: float) -> None:
        """Draw everything, once it has been laid out."""
        self._known = known
        if not self.query("#study-lines") or not self.size:
            return
        study = self.selected
        empty, body = self.query_one("#sweeps-empty", Drawn), self.query_one("#sweeps")
        if study is not None and not body.display:
            # Nothing in what is not seen can have the focus.
            self.call_after_refresh(self.take_focus)
        empty.display, body.display = study is None, study is not None
        if study is None:
            empty.show(no_studies(known, max(8, self.size.width - 4)))
            return
        self._arrange(len(known.sweeps.studies))
        self._draw_left(known, study, moment)
        self._draw_right(known, study, moment)

    def _arrange(self, studies: int) -> None:
        """Where everything stands in a terminal of this size."""
        width, height = self.size.width, self.size.height
        is_broad = width >= BROAD
        self.set_class(is_broad, "-broad")
        listed = self.query_one("#studies", LineList)
        most = max(2, min(_MOST_STUDIES, height // 6)) if not is_broad else max(3, height // 4)
        listed.styles.height = min(studies, most) + listed.gutter.height
        box = self.query_one("#study-box")
        box.styles.height = "auto"
        right = self.query_one("#sweeps-right").size.height
        takes_turns = right < _LEAST_FOR_BOTH
        views, table, charts = self.query_one("#sweeps-views", PieceBar), self.table, self.charts
        views.display = takes_turns
        table.display = not takes_turns or not self._sees_charts
        charts.display = not takes_turns or self._sees_charts
        charts.styles.height = "1fr" if takes_turns else max(14, round(right * _CHARTS_SHARE))
        if takes_turns:
            views.show([
                _tab("Trials", _TO_TRIALS, is_seen=not self._sees_charts),
                _tab("Charts", _TO_CHARTS, is_seen=self._sees_charts),
                Piece(line(("  v turns", "$quiet")), rank=1),
            ])  # fmt: skip

    def _draw_left(self, known: Situation, study: Studied, moment: float) -> None:
        listed, drawn = self.query_one("#studies", LineList), self.query_one("#study-lines", Drawn)
        studies, jobs = known.sweeps.studies, jobs_of(known, study)
        listed.show_lines(study_rows(studies, listed.line_width, moment))
        listed.put_cursor(next((i for i, item in enumerate(studies) if item.id == study.id), 0))
        entitle(listed, line(("Sweeps", "bold")))
        is_broad = self.has_class("-broad")
        lines_of = detail_lines if is_broad else head_lines
        lines = lines_of(study, drawn.width, moment, jobs)
        if not is_broad and self.size.height < _LEAST_FOR_BOTH:
            lines = lines[: 3 if self.size.height > 16 else 2]
        drawn.show(lines)
        entitle(self.query_one("#study-box"), line((study.name, "bold")), self._told(study))
        box, trial = self.query_one("#trial-box"), self.situated(known).trial
        box.display = is_broad and trial is not None
        if trial is not None and box.display:
            below = self.query_one("#trial-lines", Drawn)
            below.show(trial_lines(trial, study.view.study, below.width))
            entitle(box, line((f"Trial {trial.number}", "bold")))

    def _told(self, study: Studied) -> Content:
        """What must not be overlooked, in the box's lower border."""
        if study.view.moved and not self.has_class("-broad"):
            return line(("! the code moved on: R restarts", "$warn"))
        if study.id in self._known.stopping and study.view.is_running:
            return line(("s stops at once", "$warn"))
        return line("")

    def _draw_right(self, known: Situation, study: Studied, moment: float) -> None:
        table, charts, sweeps = self.table, self.charts, known.sweeps
        chosen = sweeps.chosen
        if chosen is None or chosen.id != study.id:
            return
        if table.display:
            table.draw(sweeps, moment)
            entitle(table, line(("Trials", "bold")), table.counted())
        if charts.display:
            entitle(charts, line(("Charts", "bold")))
            trial = table.selected
            question = ImportancesQuestion(study.id, charts.objective)
            found = self._importances.get(question)
            charts.show(
                chosen.view,
                found[0] if found is not None else None,
                sweeps.curves,
                trial.number if trial is not None else None,
            )
            self._keep_importances(chosen, question)

    def _keep_importances(self, study: Studied, question: ImportancesQuestion) -> None:
        """Have them worked out where they are looked at, and again every ten trials."""
        complete = study.counts.get(TrialState.COMPLETE, 0)
        if not self.charts.wants_importances or not complete or self._asked is not None:
            return
        known = self._importances.get(question)
        is_over = not study.view.is_running and known is not None and known[1] != complete
        if known is None or is_over or complete - known[1] >= _EVERY_TRIALS:
            self._ask(question)

    def _work_out(self) -> None:
        study = self.selected
        if study is not None:
            self._ask(ImportancesQuestion(study.id, self.charts.objective))
            cast("Workbench", self.app).tell("which parameters matter is being worked out …")

    def _ask(self, question: ImportancesQuestion) -> None:
        self._asked = question
        self.post_message(ImportancesWanted(question))

    def _turn(self, by: int) -> None:
        """The next view; where trials and charts take turns, the trials are one of them."""
        charts = self.charts
        titles = list(charts.charts)
        if not self.query_one("#sweeps-views").display:
            charts.act("view" if by > 0 else "view-back")
        elif not self._sees_charts:
            if titles:
                charts.show_chart(titles[0 if by > 0 else -1])
            self._see(charts=True)
        elif charts.chart == (titles[-1] if by > 0 else titles[0]):
            self._see(charts=False)
        else:
            charts.act("view" if by > 0 else "view-back")

    def _see(self, *, charts: bool) -> None:
        self._sees_charts = charts
        self._draw_again()
        self.take_focus()
        self.call_after_refresh(self._draw_again)

    def _reverse(self) -> None:
        self.table.ask(replace(self.question, descending=not self.question.descending))

    def _back(self) -> None:
        """Back from the charts; drop the filter; back to the table."""
        if self._sees_charts and not self.table.display:
            self._see(charts=False)
        elif self.question.words and self.table.listed.has_focus:
            self.filter("")
        else:
            self.take_focus()

    def _draw_again(self) -> None:
        self.draw(self._known, now())


def _tab(title: str, action: str, *, is_seen: bool) -> Piece:
    return Piece(line((f" {title} ", "bold reverse" if is_seen else "$quiet")), action)
