"""A study's charts behind tabs: one place that shows whichever of them is wanted.

The interface:

- `show(view, importances, curves, selected)` at every tick, with whatever is known: a chart is
  drawn anew only where something differs, and in a thread of its own, for that takes a while with
  many trials. Until then the one before is seen, unless it is of another study. `importances` None:
  not known yet; `curves` are points (step, value) by trial number, None: not read yet; `selected`
  is the trial that is marked.
- `chart` is the title of what is shown (`HISTORY` … `CURVES`), `charts` all that there are for this
  study, `show_chart(title)` shows one. `wants_curves` and `wants_importances` say whether what is
  shown needs what takes long to read; `objective` is the number of the objective looked at.
- `act(action)` does `view`, `view-back`, `parameter`, `parameter-back`, `second`, `second-back`,
  `objective`, `log-scale`, and gives False for any other. The same by keys where it has the focus:
  v and V, ] or right and [ or left, down and up, M, L; and by clicks on the names.
- The message `Pointed(number)`: the user clicked on a trial. `Changed`: another chart or another
  objective is shown, so that more may be wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from mlbench.domain.study_analysis import Importances
from mlbench.domain.sweeps import StudyView
from mlbench.tui.background import Background, Broken
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.study_chart import (
    BY_IMPORTANCES,
    CHARTS,
    CURVES,
    Choice,
    Known,
    Wanted,
    charts_of,
    choices_of,
)
from mlbench.tui.draw.study_curves import Logged
from mlbench.tui.draw.study_plot import Chart, Look, said
from mlbench.tui.widgets.piece_bar import PieceBar
from mlbench.tui.widgets.study_plot import StudyPlot

_CHART = "chart:"
_MOST_TAB_LINES = 2


class StudyCharts(Vertical):
    """Tabs, what can be chosen, the chart; keeps what the user chose over every study."""

    DEFAULT_CSS = """
    StudyCharts { height: 1fr; width: 1fr; }
    StudyCharts > StudyPlot { height: 1fr; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "do('view')", show=False),
        Binding("V", "do('view-back')", show=False),
        Binding("right_square_bracket,right", "do('parameter')", show=False),
        Binding("left_square_bracket,left", "do('parameter-back')", show=False),
        Binding("down", "do('second')", show=False),
        Binding("up", "do('second-back')", show=False),
        Binding("M", "do('objective')", show=False),
        Binding("L", "do('log-scale')", show=False),
    ]

    class Pointed(Message):
        """The user clicked on a trial."""

        def __init__(self, number: int) -> None:
            """Say which."""
            self.number = number
            super().__init__()

    class Changed(Message):
        """Another chart or objective is shown: ask again what it wants."""

    class Answered(Message):
        """A chart was drawn in the background, or could not be."""

        def __init__(self, answer: tuple[Wanted, Chart] | Broken) -> None:
            """Carry the chart, with what it was drawn for."""
            self.answer = answer
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with nothing known."""
        super().__init__(id=id)
        self._known: Known | None = None
        self._chosen = Choice()
        self._wanted: Wanted | None = None
        self._drawing: Background[Wanted, tuple[Wanted, Chart]] | None = None

    def compose(self) -> ComposeResult:
        """Tabs, what can be chosen, the chart."""
        yield PieceBar(id="study-tabs")
        yield PieceBar(id="study-choices")
        yield StudyPlot(id="study-plot")

    @property
    def charts(self) -> tuple[str, ...]:
        """The titles of the charts that this study has."""
        return charts_of(self._known.view) if self._known else CHARTS

    @property
    def chart(self) -> str:
        """The title of what is shown."""
        chart = self._chosen.chart
        return chart if chart in self.charts else self.charts[0]

    @property
    def objective(self) -> int:
        """The number of the objective that is looked at."""
        many = len(self._known.view.study.sweep.objectives) if self._known else 1
        return self._chosen.objective % many

    @property
    def wants_curves(self) -> bool:
        """Whether what is shown needs the trials' curves."""
        return self.chart == CURVES

    @property
    def wants_importances(self) -> bool:
        """Whether what is shown needs the importances of the objective that is looked at."""
        return self.chart in BY_IMPORTANCES

    def show(
        self,
        view: StudyView,
        importances: Importances | None = None,
        curves: Logged | None = None,
        selected: int | None = None,
    ) -> None:
        """Show what is known of this study now."""
        self._known = Known(view, importances, curves, selected)
        self.draw()

    def show_chart(self, title: str) -> None:
        """Show the chart with this title, where this study has it."""
        if title in self.charts and title != self.chart:
            self._choose(replace(self._chosen, chart=title))

    def act(self, action: str) -> bool:
        """Do what belongs to the charts alone; False where the action is not theirs."""
        chosen = self._chosen
        doings: dict[str, Callable[[], Choice]] = {
            "view": lambda: replace(chosen, chart=self._next_chart(1)),
            "view-back": lambda: replace(chosen, chart=self._next_chart(-1)),
            "parameter": lambda: self._turned(1, 0),
            "parameter-back": lambda: self._turned(-1, 0),
            "second": lambda: self._turned(0, 1),
            "second-back": lambda: self._turned(0, -1),
            "objective": lambda: replace(chosen, objective=self.objective + 1),
            "log-scale": lambda: replace(chosen, is_log=not chosen.is_log),
        }
        if action not in doings:
            return False
        if self._known is not None:
            self._choose(doings[action]())
        return True

    def action_do(self, action: str) -> None:
        """A key was pressed."""
        self.act(action)

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """Tabs and choices can be clicked."""
        message.stop()
        if message.action.startswith(_CHART):
            self.show_chart(message.action.removeprefix(_CHART))
        else:
            self.act(message.action)

    def on_study_plot_pointed(self, message: StudyPlot.Pointed) -> None:
        """A trial was clicked in the chart."""
        message.stop()
        self.post_message(self.Pointed(message.number))

    def on_study_plot_resized(self, message: StudyPlot.Resized) -> None:
        """Draw it for the new size."""
        message.stop()
        self.draw()

    def take_focus(self) -> None:
        """The chart has the focus, and its keys work."""
        self.query_one(StudyPlot).focus()

    def draw(self) -> None:
        """Draw what is known, where anything differs from what was drawn."""
        if self._known is None or not self.is_mounted or not self.query("#study-plot"):
            return
        plot = self.query_one(StudyPlot)
        look = Look(plot.size.width, plot.size.height, self._known.selected, self._chosen.is_log)
        wanted = Wanted(self._known, replace(self._chosen, chart=self.chart), self.chart, look)
        before = self._wanted
        if look.width < 1 or look.height < 1 or (before is not None and wanted.is_as(before)):
            return
        if before is not None and not wanted.is_of_study(before):
            plot.show(Chart(()))
        self._wanted = wanted
        self._draw_bars()
        self._drawing = self._drawing or Background(_drawn, self._deliver)
        self._drawing.ask(wanted)

    def on_study_charts_answered(self, message: Answered) -> None:
        """Show what was drawn, if it is still what is wanted."""
        message.stop()
        wanted, plot = self._wanted, self.query_one(StudyPlot)
        if wanted is None:
            return
        if isinstance(message.answer, Broken):
            plot.show(said(f"The chart could not be drawn: {message.answer.message}", wanted.look))
            return
        drawn_for, chart = message.answer
        if drawn_for.is_seen_as(wanted):
            plot.show(chart)

    def on_unmount(self) -> None:
        """Let the thread end."""
        if self._drawing is not None:
            self._drawing.close()

    def _deliver(self, answer: tuple[Wanted, Chart] | Broken) -> None:
        self.post_message(self.Answered(answer))

    def _draw_bars(self) -> None:
        """The tabs, and below them what else can be chosen for the chart."""
        if self._known is None:
            return
        tabs = [
            Piece(
                line((f" {title} ", "bold reverse" if title == self.chart else "$quiet")),
                _CHART + title,
            )
            for title in self.charts
        ]
        self.query_one("#study-tabs", PieceBar).show(tabs, most_lines=_MOST_TAB_LINES)
        choices = choices_of(self._known.view, self._chosen, self.chart)
        bar = self.query_one("#study-choices", PieceBar)
        bar.display = bool(choices)
        bar.show(choices)

    def _next_chart(self, by: int) -> str:
        charts = self.charts
        return charts[(charts.index(self.chart) + by) % len(charts)]

    def _turned(self, first: int, second: int) -> Choice:
        assert self._known is not None
        return self._chosen.turned(self._known.view, self.chart, first, second)

    def _choose(self, choice: Choice) -> None:
        before = (self.chart, self.objective)
        self._chosen = choice
        self.draw()
        if (self.chart, self.objective) != before:
            self.post_message(self.Changed())


def _drawn(wanted: Wanted) -> tuple[Wanted, Chart]:
    return wanted, wanted.drawn()
