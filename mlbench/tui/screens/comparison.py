"""Runs side by side: the verdict above, the values at the left, one of the views at the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget

from mlbench.domain.runs import Run
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.comparison import machine_lines, values_lines, verdict_lines
from mlbench.tui.draw.lines import EMPTY, line
from mlbench.tui.draw.overlay import SMOOTHINGS, Overlay, figures, overlay_lines
from mlbench.tui.draw.parallel import axes_of, legend, parallel_lines
from mlbench.tui.draw.story import objective_metric
from mlbench.tui.opened import (
    Compared,
    ComparisonQuestion,
    Curves,
    CurvesQuestion,
)
from mlbench.tui.screens.run_page import Wanted
from mlbench.tui.situation import CODE, CURVES, MACHINES, PARALLEL, VALUES, VIEWS, Situation
from mlbench.tui.widgets.drawn import Drawn, entitle
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.piece_bar import PieceBar

_WIDE = 100
_VIEW = "view:"
_MOST_LINES = 100
_LEAST_WINDOW = 8


class ComparisonPage(Widget):
    """Asks for what it shows by message; draws again only what has changed."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with no runs."""
        super().__init__(id=id)
        self.only_differences = False
        self._runs: tuple[str, ...] = ()
        self._answer: Compared | None = None
        self._curves: Curves | None = None
        self._asked: CurvesQuestion | None = None
        self._view = ""
        self._metric = ""
        self._window: tuple[int, int] | None = None
        self._is_log = False
        self._smoothing = 0
        self._shifted = 0
        self._drawn_for: dict[str, tuple[object, ...]] = {}

    def compose(self) -> ComposeResult:
        """Verdict, tabs, values, view."""
        yield Drawn(id="comparison-head")
        yield PieceBar(id="comparison-tabs")
        with Horizontal(id="comparison-body"):
            yield LineList(id="comparison-list", is_selection=False)
            with Vertical(id="comparison-right"):
                yield Drawn(id="comparison-plot")
                yield LineList(id="comparison-view", is_selection=False)

    @property
    def view(self) -> str:
        """What is shown beside the values, or in their place where there is no room for both."""
        views = self._views
        return self._view if self._view in views else self._first_view(views)

    @property
    def focused_list(self) -> LineList:
        """What the arrow keys scroll."""
        has_lines = self.view in (CODE, MACHINES)
        return self.query_one("#comparison-view" if has_lines else "#comparison-list", LineList)

    def open(self, runs: Sequence[str]) -> None:
        """Put these runs side by side, what is compared with first."""
        if tuple(runs) != self._runs:
            self._runs, self._view, self._metric = tuple(runs), "", ""
            self._answer = self._curves = self._asked = self._window = None
            self._shifted = 0
        self.look_again()

    def look_again(self) -> None:
        """Read everything anew."""
        if self._runs:
            self.post_message(Wanted(ComparisonQuestion(self._runs)))

    def take(self, answer: Compared | Curves) -> None:
        """Show what was read, if it is about these runs."""
        if answer.question.runs != self._runs:
            return
        if isinstance(answer, Compared):
            self._answer = answer
        elif answer.question == self._asked:
            self._curves = answer

    def act(self, action: str) -> bool:
        """Do what belongs to this page alone; False where the action is not its own."""
        doings: dict[str, Callable[[], None]] = {
            "view": self._turn,
            "metric": self._next_metric,
            "differences": self._toggle_differences,
            "log-scale": self._toggle_log,
            "smooth": self._smooth,
            "zoom-in": lambda: self._zoom(0.5),
            "zoom-out": lambda: self._zoom(2.0),
            "earlier": lambda: self._go(-1),
            "later": lambda: self._go(1),
        }
        if action not in doings:
            return False
        doings[action]()
        return True

    def show_view(self, view: str) -> None:
        """Show this view; the arrow keys scroll it where it has lines."""
        self._view = view
        self.focused_list.focus()

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """The tabs can be clicked."""
        if message.action.startswith(_VIEW):
            message.stop()
            self.show_view(message.action.removeprefix(_VIEW))

    def on_line_list_sideways(self, message: LineList.Sideways) -> None:
        """Other steps of the curves, or the runs for which there was no room."""
        message.stop()
        self._go(message.by)

    def draw(self, known: Situation) -> None:
        """Draw what is known so far."""
        head, listed = (
            self.query_one("#comparison-head", Drawn),
            self.query_one("#comparison-list", LineList),
        )
        project = known.surroundings.project
        objective, direction = objective_metric(project.objective if project else None)
        view, answer = self.view, self._answer
        is_wide = self._is_wide
        listed.display = is_wide or view == VALUES
        self.query_one("#comparison-right").display = is_wide or view != VALUES
        self._draw_tabs(view)
        if answer is None or answer.comparison is None:
            said = answer.problem if answer else "comparing …"
            head.show([line((said, "$fail" if answer else "$quiet"))])
            listed.show(0, lambda *_: EMPTY)
        else:
            head.show(verdict_lines(answer.comparison, objective, direction, head.width))
            self._draw_values(answer)
        self._draw_view(view, known, objective)

    @property
    def _is_wide(self) -> bool:
        return self.size.width >= _WIDE

    @property
    def _views(self) -> tuple[str, ...]:
        return VIEWS[1:] if self._is_wide else VIEWS

    def _first_view(self, views: Sequence[str]) -> str:
        """What the eye is for at first: values where they alone fit, else what there is."""
        if VALUES in views:
            return VALUES
        has_curves = self._curves is None or bool(self._curves.overlays)
        has_code = self._answer is not None and bool(self._answer.code)
        return CURVES if has_curves else CODE if has_code else PARALLEL

    def _turn(self) -> None:
        views = self._views
        self.show_view(views[(views.index(self.view) + 1) % len(views)])

    def _toggle_differences(self) -> None:
        self.only_differences = not self.only_differences

    def _toggle_log(self) -> None:
        self._is_log = not self._is_log

    def _smooth(self) -> None:
        self._smoothing = (self._smoothing + 1) % len(SMOOTHINGS)

    def _next_metric(self) -> None:
        names = [overlay.name for overlay in self._curves.overlays] if self._curves else []
        shown = self._overlay
        if names and shown is not None:
            self._metric = names[(names.index(shown.name) + 1) % len(names)]

    def _zoom(self, share: float) -> None:
        """Show so much of the steps around the middle of what is shown."""
        shown = self._overlay
        if shown is None:
            return
        middle = (shown.first_step + shown.last_step) / 2
        half = max(_LEAST_WINDOW, (shown.last_step - shown.first_step) * share) / 2
        self._look_at(round(middle - half), round(middle + half))

    def _go(self, by: int) -> None:
        if self.view != CURVES:
            self._shifted = max(0, min(self._shifted + by, len(self._runs) - 1))
            return
        shown = self._overlay
        if shown is not None and self._window is not None:
            step = max(1, (shown.last_step - shown.first_step) // 4) * by
            self._look_at(shown.first_step + step, shown.last_step + step)

    def _look_at(self, first: int, last: int) -> None:
        """Show these steps of the metric, as far as it has them; all where it has no others."""
        shown = self._overlay
        if shown is None:
            return
        least = min(trace.first_step for trace in shown.traces)
        greatest = max(trace.last_step for trace in shown.traces)
        span = min(last - first, greatest - least)
        first = max(least, min(first, greatest - span))
        is_all = first <= least and first + span >= greatest
        self._window = None if is_all else (first, first + span)

    @property
    def _overlay(self) -> Overlay | None:
        """The metric whose curves are shown."""
        overlays = self._curves.overlays if self._curves else ()
        named = [overlay for overlay in overlays if overlay.name == self._metric]
        return named[0] if named else overlays[0] if overlays else None

    def _draw_tabs(self, view: str) -> None:
        pieces = [
            Piece(line((f" {name} ", "bold reverse" if name == view else "$quiet")), _VIEW + name)
            for name in self._views
        ]
        self.query_one("#comparison-tabs", PieceBar).show(pieces)

    def _draw_values(self, answer: Compared) -> None:
        listed = self.query_one("#comparison-list", LineList)
        width = max(20, listed.line_width)
        now = (id(answer), width, self.only_differences, self._shifted)
        if self._drawn_for.get(VALUES) == now or answer.comparison is None:
            return
        self._drawn_for[VALUES] = now
        lines = values_lines(
            answer.comparison,
            width,
            only_differences=self.only_differences,
            shifted=self._shifted,
        )
        listed.show(len(lines), lambda index, _: lines[index])
        entitle(listed, line((VALUES, "bold")))

    def _draw_view(self, view: str, known: Situation, objective: str | None) -> None:
        box = self.query_one("#comparison-right")
        plot, listed = (
            self.query_one("#comparison-plot", Drawn),
            self.query_one("#comparison-view", LineList),
        )
        has_lines = view in (CODE, MACHINES)
        plot.display, listed.display = not has_lines, has_lines
        entitle(box, line((view, "bold")), self._subtitle(view))
        if view in (CODE, MACHINES):
            self._draw_lines(view, listed)
        elif view == CURVES:
            self._ask_for_curves(plot.width)
            self._draw_curves(plot, box.content_size.height)
        elif view == PARALLEL:
            self._draw_parallel(plot, box.content_size.height, known, objective)

    def _subtitle(self, view: str) -> Content:
        if view not in (CURVES, PARALLEL):
            return EMPTY
        words = ["log scale"] if self._is_log else []
        if view == CURVES and self._smoothing:
            words.append(f"smoothed {SMOOTHINGS[self._smoothing]:g}")
        if view == CURVES and self._window:
            words.append("steps {} to {}".format(*self._window))
        return line((" · ".join(words), "$quiet"))

    def _draw_lines(self, view: str, listed: LineList) -> None:
        answer = self._answer
        if answer is None or answer.comparison is None:
            listed.show(0, lambda *_: EMPTY)
            return
        now = (id(answer), view, listed.line_width, self.only_differences, self._shifted)
        if self._drawn_for.get(CODE) == now:
            return
        self._drawn_for[CODE] = now
        if view == CODE:
            same: list[Content] = [line(("The code is the same.", "$quiet"))]
            unknown = [line((remark, "$warn")) for remark in answer.comparison.remarks]
            lines: Sequence[Content] = answer.code or unknown or same
        else:
            lines = machine_lines(
                answer.comparison,
                listed.line_width,
                only_differences=self.only_differences,
                shifted=self._shifted,
            )
        listed.show(len(lines), lambda index, _: lines[index])

    def _ask_for_curves(self, width: int) -> None:
        window = self._window or (None, None)
        wanted = CurvesQuestion(self._runs, max(64, width * 2), *window)
        if wanted != self._asked:
            self._asked = wanted
            self.post_message(Wanted(wanted))

    def _draw_curves(self, plot: Drawn, height: int) -> None:
        overlay, curves = self._overlay, self._curves
        if overlay is None or curves is None:
            said = "reading the curves …" if curves is None else "None of them logged by step."
            plot.show([line((said, "$quiet"))])
            return
        now = (id(overlay), plot.width, height, self._is_log, self._smoothing)
        if self._drawn_for.get(CURVES) == now:
            return
        self._drawn_for[CURVES] = now
        place = [item.name for item in curves.overlays].index(overlay.name)
        many = len(curves.overlays)
        which = f"  {place + 1} of {many} metrics, m for the next" if many > 1 else ""
        title = line((overlay.name, "bold"), (which, "$quiet"))
        told = figures(overlay, self._names, plot.width)[: max(1, height // 3)]
        drawn = overlay_lines(
            overlay,
            plot.width,
            max(3, height - len(told) - 2),
            logarithmic=self._is_log,
            smoothing=SMOOTHINGS[self._smoothing],
        )
        plot.show([title, *drawn, EMPTY, *told][: max(1, height)])

    @property
    def _names(self) -> list[str]:
        comparison = self._answer.comparison if self._answer else None
        return [run.name for run in comparison.runs] if comparison else list(self._runs)

    def _draw_parallel(
        self, plot: Drawn, height: int, known: Situation, objective: str | None
    ) -> None:
        comparison = self._answer.comparison if self._answer else None
        chosen: tuple[Run, ...] = comparison.runs if comparison else ()
        history = known.history
        now = (id(history), id(comparison), plot.width, height, self._is_log)
        if self._drawn_for.get(PARALLEL) == now:
            return
        self._drawn_for[PARALLEL] = now
        every = {run.id: run for run in (*chosen, *history.sample[:_MOST_LINES])}
        most = max(2, plot.width // 14)
        axes = axes_of(list(every.values()), objective, most, logarithmic=self._is_log)
        ids = [run.id for run in chosen]
        others = len(every) - len(chosen)
        among = line((f"among {others} other runs of the table" if others else "", "$quiet"))
        drawn = parallel_lines(axes, ids, list(every), plot.width, max(4, height - 2))
        plot.show([line(legend(chosen), among), EMPTY, *drawn][: max(1, height)])
