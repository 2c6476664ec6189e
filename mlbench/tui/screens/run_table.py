"""The table of runs: drawn line by line as it is seen, however long it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from mlbench.domain.phrases import plural
from mlbench.domain.runs import Run
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.columns import (
    Column,
    Row,
    automatic,
    columns_for,
    differing,
    gated_names,
)
from mlbench.tui.draw.empty import no_runs
from mlbench.tui.draw.history import header_cells, run_line
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.story import objective_metric
from mlbench.tui.history import History, HistoryQuestion
from mlbench.tui.situation import Situation
from mlbench.tui.widgets.drawn import Drawn
from mlbench.tui.widgets.line_list import LineList
from mlbench.tui.widgets.piece_bar import PieceBar

_SORT = "sort:"
_SIGNS = 3
_MOST_MEASURED = 40
# Each costs some twenty decoded runs, about a millisecond.
_MOST_LOOKED_FOR = 12
_FARTHEST = 100


class RunTable(Vertical):
    """Header and list; what it shows is asked for by message and comes with `draw`."""

    class Asked(Message):
        """The table needs other runs or another order, or other columns of the same runs."""

        def __init__(self, question: HistoryQuestion, before: HistoryQuestion) -> None:
            """Carry what is asked, and what was before."""
            self.question, self.before = question, before
            super().__init__()

    def __init__(
        self,
        question: HistoryQuestion,
        chosen: Sequence[str],
        *,
        only_differences: bool,
        id: str | None = None,
    ) -> None:
        """Begin with the question and the columns of last time."""
        super().__init__(id=id)
        self.question = question
        self.chosen = tuple(chosen)
        self.only_differences = only_differences
        self.marked: dict[str, Run] = {}
        self._history = History()
        self._columns: tuple[Column, ...] = ()
        self._drawn_for: tuple[object, ...] = ()
        self._painted_for: tuple[object, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._first = 0
        self._run_id: str | None = None

    def compose(self) -> ComposeResult:
        """The titles, what stands where there are no runs, the runs."""
        yield PieceBar(id="runs-header")
        yield Drawn(id="runs-empty")
        yield LineList(id="runs-list")

    @property
    def listed(self) -> LineList:
        """The list itself."""
        return self.query_one("#runs-list", LineList)

    @property
    def selected(self) -> Run | None:
        """The run under the cursor."""
        cursor, runs = self.listed.cursor, self._history.runs
        return runs[cursor] if cursor is not None and cursor < len(runs) else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of the columns that are shown, those too for which there is no room."""
        return self._keys

    def ask(self, question: HistoryQuestion) -> None:
        """Ask for other runs, or the same in another order."""
        self.question, before = question, self.question
        self.post_message(self.Asked(question, before))

    def choose(self, columns: Sequence[str]) -> None:
        """Show these columns from now on; none for those that choose themselves."""
        self.chosen, self.only_differences, self._first = tuple(columns), False, 0
        self.post_message(self.Asked(self.question, self.question))

    def toggle_differences(self) -> None:
        """Show only columns in which the listed or marked runs differ, or all again."""
        self.only_differences, self._first = not self.only_differences, 0
        self.post_message(self.Asked(self.question, self.question))

    def toggle_mark(self) -> None:
        """Mark the run under the cursor or take its mark away, and go on to the next."""
        run = self.selected
        if run is None:
            return
        if self.marked.pop(run.id, None) is None:
            self.marked[run.id] = run
        self.listed.action_move(1)

    def sort_by_next(self) -> None:
        """Sort by the next of the columns that are seen."""
        keys = [column.sort for column in self._columns if column.sort]
        current = self.question.sort or "started"
        if keys:
            place = (keys.index(current) + 1) % len(keys) if current in keys else 0
            self.ask(replace(self.question, sort=keys[place]))

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Remember the run itself, for runs come and go above it."""
        selected = self.selected
        if message.source is self.listed and selected is not None:
            self._run_id = selected.id

    def on_line_list_sideways(self, message: LineList.Sideways) -> None:
        """See the columns for which there was no room."""
        message.stop()
        most = max(0, len(self._keys) - len(self._columns))
        self._first = max(0, min(self._first + message.by, most))

    def on_piece_bar_pressed(self, message: PieceBar.Pressed) -> None:
        """A click on a title sorts by it, a second one turns the order round."""
        if not message.action.startswith(_SORT):
            return
        message.stop()
        key = message.action.removeprefix(_SORT)
        again = key == (self.question.sort or "started")
        descending = not self.question.descending if again else True
        self.ask(replace(self.question, sort=key, descending=descending))

    def draw(self, known: Situation, moment: float) -> None:
        """Titles and lines as of now; only lines that are seen are decoded and drawn."""
        history, listed = known.history, self.listed
        if history is not self._history:
            self._take(history)
        self._choose_columns(known, listed.line_width - _SIGNS)
        self._look_for_what_was_before()
        project = known.surroundings.project
        objective, direction = objective_metric(project.objective if project else None)

        def drawn(index: int, _: int) -> Content:
            run = history.runs[index]
            before = history.before.known(run.id)
            row = Row(run, moment, before, history.baseline, objective, direction)
            return run_line(row, self._columns, marked=run.id in self.marked)

        # Ages are told to the second; between seconds nothing is painted anew for nothing.
        looked = history.before.count
        now = (id(history), self._columns, tuple(self.marked), looked, direction, int(moment))
        if now != self._painted_for:
            self._painted_for = now
            listed.show(len(history.runs), drawn)
        self._draw_titles(history)
        empty = self.query_one("#runs-empty", Drawn)
        empty.display = not len(history.runs)
        empty.show(no_runs(known, empty.width))

    def counted(self) -> Content:
        """How many runs are shown of how many, and why not all."""
        history = self._history
        parts = [plural(len(history.runs), "run") + f" of {history.total}"]
        parts += ["archived, trials and failed too"] if history.question.everything else []
        parts += [f"/{history.question.text}"] if history.question.text else []
        parts += [f"{len(self.marked)} marked"] if self.marked else []
        parts += ["only differences"] if self.only_differences else []
        hidden = len(self._keys) - len(self._columns)
        parts += [f"←→ {hidden} more columns"] if hidden > 0 and self._is_chosen else []
        return line((" · ".join(parts), "$quiet"))

    def _take(self, history: History) -> None:
        """Another list: the cursor stays on its run, and marks on runs as they are now."""
        near = self.listed.cursor or 0
        self._history = history
        known = {run.id: run for run in (*history.recent, *history.sample)}
        self.marked = {run.id: known.get(run.id, run) for run in self.marked.values()}
        self.listed.show(len(history.runs), lambda *_: Content(""))
        place = _place_of(self._run_id, near, history.runs)
        if place is not None:
            self.listed.put_cursor(place)
        elif self.selected is not None:
            self._run_id = self.selected.id

    @property
    def _is_chosen(self) -> bool:
        return self.only_differences or bool(self.chosen)

    def _choose_columns(self, known: Situation, width: int) -> None:
        """Work the columns out anew where something that they depend on has changed."""
        history, project = known.history, known.surroundings.project
        marked = tuple(self.marked) if self.only_differences else ()
        now = (id(history), project, width, self.chosen, marked, self.only_differences)
        if (*now, self._first) == self._drawn_for:
            return
        self._drawn_for = (*now, self._first)
        objective, direction = objective_metric(project.objective if project else None)
        if self.only_differences:
            is_few = len(self.marked) > 1
            keys = differing(tuple(self.marked.values())) if is_few else history.differing
        else:
            keys = self.chosen or automatic(history.columns, objective, gated_names(project))
        self._keys = keys
        # The first column says which run it is, so it stays where it is.
        shown = (*keys[:1], *keys[1 + self._first :]) if self._is_chosen else keys
        sample = history.sample[:: max(1, len(history.sample) // _MOST_MEASURED)]
        self._columns = columns_for(
            sample,
            shown,
            width,
            chosen=self._is_chosen,
            row=lambda run: Row(run, 0.0, None, history.baseline, objective, direction),
        )

    def _look_for_what_was_before(self) -> None:
        """For some of the lines that are seen; the others follow with the next tick."""
        history, left = self._history, _MOST_LOOKED_FOR
        for index in self.listed.in_sight():
            if index < len(history.runs) and left:
                run_id = history.runs[index].id
                if not history.before.knows(run_id):
                    history.before.of(run_id)
                    left -= 1

    def _draw_titles(self, history: History) -> None:
        asked, titles = history.question, self.query_one("#runs-header", PieceBar)
        cells = header_cells(self._columns, asked.sort, descending=asked.descending)
        pieces = [
            Piece(content, _SORT + column.sort if column.sort else "") for column, content in cells
        ]
        titles.show([Piece(line(" " * (_SIGNS + 1))), *pieces])
        titles.display = bool(len(history.runs))


def _place_of(run_id: str | None, near: int, runs: Sequence[Run]) -> int | None:
    """Where a run is now, looked for around where it was; few runs come at a time."""
    if run_id is None:
        return None
    for distance in range(_FARTHEST):
        for place in dict.fromkeys((near + distance, near - distance)):
            if 0 <= place < len(runs) and runs[place].id == run_id:
                return place
    return None
