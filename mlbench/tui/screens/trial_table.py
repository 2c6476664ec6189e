"""The table of a study's trials: drawn line by line as it is seen, however long it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import duration, plural
from mlbench.domain.sweeps import Trial
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.bars import Piece
from mlbench.tui.draw.columns import Column
from mlbench.tui.draw.history import header_cells
from mlbench.tui.draw.lines import line
from mlbench.tui.draw.trials import SIGNS, columns_for, sample_of, trial_line
from mlbench.tui.sweeping_reading import SweepQuestion, Sweeps
from mlbench.tui.trial_order import NOW, NUMBER, keys_of
from mlbench.tui.widgets.drawn import Drawn
from mlbench.tui.widgets.line_list import GUTTER, LineList
from mlbench.tui.widgets.piece_bar import PieceBar

_SORT = "sort:"
_MOST_MEASURED = 40


class TrialTable(Vertical):
    """Header and list; another order is asked for by message and comes with `draw`."""

    class Asked(Message):
        """The table needs other trials, or another order."""

    def __init__(self, *, id: str | None = None) -> None:
        """Begin with the newest first."""
        super().__init__(id=id)
        self.question = SweepQuestion()
        self._sweeps = Sweeps()
        self._columns: tuple[Column, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._first = 0
        self._measured_for: tuple[object, ...] = ()
        self._painted_for: tuple[object, ...] = ()
        self._number: int | None = None

    def compose(self) -> ComposeResult:
        """The titles, what stands where there are no trials, the trials."""
        yield PieceBar(id="trials-header")
        yield Drawn(id="trials-empty")
        yield LineList(id="trials-list")

    @property
    def listed(self) -> LineList:
        """The list itself."""
        return self.query_one("#trials-list", LineList)

    @property
    def selected(self) -> Trial | None:
        """The trial under the cursor."""
        cursor, rows = self.listed.cursor, self._sweeps.rows
        return rows[cursor] if cursor is not None and cursor < len(rows) else None

    def ask(self, question: SweepQuestion) -> None:
        """Ask for another study's trials, or these in another order."""
        if question != self.question:
            if question.study != self.question.study:
                self._number, self._first = None, 0
            self.question = question
            self.post_message(self.Asked())

    def go_to(self, number: int) -> None:
        """Put the cursor on a trial."""
        self._number = number
        for place, trial in enumerate(self._sweeps.rows):
            if trial.number == number:
                self.listed.put_cursor(place)
                break

    def sort_by_next(self) -> None:
        """Sort by the next of the columns that are seen."""
        keys = [column.key for column in self._columns]
        current = self.question.sort
        if keys:
            place = (keys.index(current) + 1) % len(keys) if current in keys else 0
            self.ask(replace(self.question, sort=keys[place]))

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Remember the trial itself; on the first line the cursor follows what comes."""
        selected = self.selected
        if message.source is self.listed and selected is not None:
            self._number = selected.number if message.index else None

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
        asked = self.question
        descending = not asked.descending if key == asked.sort else True
        self.ask(replace(asked, sort=key, descending=descending))

    def draw(self, sweeps: Sweeps, moment: float) -> None:
        """Titles and lines as of now; only lines that are seen are drawn."""
        listed = self.listed
        if sweeps is not self._sweeps:
            self._take(sweeps)
        chosen = sweeps.chosen
        rows = sweeps.rows
        self._measure(listed.line_width + GUTTER - SIGNS)
        best = frozenset(chosen.view.best) if chosen is not None else frozenset()
        is_running = chosen is not None and bool(chosen.running)

        def drawn(index: int, _: int) -> Content:
            trial = rows[index]
            return trial_line(
                trial, self._columns, is_best=trial.number in best, now=_since(moment)
            )

        # What runs is told to the second; between seconds nothing is painted anew for nothing.
        now = (sweeps, self._columns, int(moment) if is_running else 0)
        if not _is_same(now, self._painted_for):
            self._painted_for = now
            listed.show(len(rows), drawn)
        self._draw_titles(sweeps)
        empty = self.query_one("#trials-empty", Drawn)
        empty.display = not rows
        empty.show([line((self._why_empty(sweeps), "$quiet"))])

    def counted(self) -> Content:
        """How many trials are shown of how many, and why not all; else why the chosen one ended."""
        sweeps, words = self._sweeps, self.question.words
        total = len(sweeps.chosen.view.trials) if sweeps.chosen is not None else 0
        parts = [
            f"{len(sweeps.rows)} of {total} with “{words}”" if words else plural(total, "trial")
        ]
        hidden = len(self._keys) - len(self._columns)
        parts += [f"←→ {plural(hidden, 'more column')}"] if hidden > 0 else []
        parts += ["enter opens"] if total else []
        said, trial = line((" · ".join(parts), "$quiet")), self.selected
        if trial is None or not trial.reason or any(c.key == NOW for c in self._columns):
            return said
        reason = " ".join(safe(trial.reason).split())
        return line((f"{trial.state.glyph} {reason}", f"${trial.state.colour}"))

    def _take(self, sweeps: Sweeps) -> None:
        """Another list: the cursor stays on its trial, unless it follows the first line."""
        self._sweeps = sweeps
        self.listed.show(len(sweeps.rows), lambda *_: Content(""))
        if self._number is None:
            self.listed.put_cursor(0)
        else:
            self.go_to(self._number)

    def _measure(self, width: int) -> None:
        """Work the columns out anew where something that they depend on has changed."""
        sweeps, chosen, sort = self._sweeps, self._sweeps.chosen, self.question.sort
        now = (sweeps, width, self._first, sort)
        if chosen is None or _is_same(now, self._measured_for):
            return
        self._measured_for = now
        trials, study = chosen.view.trials, chosen.view.study
        sample = sample_of(trials, _MOST_MEASURED, chosen.view.best)
        has_gates = any(trial.gates_hold is not None for trial in sample)
        self._keys = keys_of(study, has_gates=has_gates)
        self._columns = columns_for(study, self._keys, sample, width, self._first, sort)

    def _draw_titles(self, sweeps: Sweeps) -> None:
        asked, titles = self.question, self.query_one("#trials-header", PieceBar)
        cells = header_cells(self._columns, asked.sort or NUMBER, descending=asked.descending)
        pieces = [Piece(content, _SORT + column.key) for column, content in cells[:-1]]
        # Behind the last one there is room for no gap.
        pieces += [Piece(text.truncate(one.width), _SORT + one.key) for one, text in cells[-1:]]
        titles.show([Piece(line(" " * SIGNS)), *pieces])
        titles.display = bool(sweeps.rows)

    def _why_empty(self, sweeps: Sweeps) -> str:
        if self.question.words:
            return "No trial has these words. Press esc to drop the filter."
        is_running = sweeps.chosen is not None and sweeps.chosen.view.is_running
        return "What all trials share is being built …" if is_running else "No trial was begun."


def _is_same(now: tuple[object, ...], before: tuple[object, ...]) -> bool:
    """Whether nothing differs; of what was read, which comes first, only the same object counts."""
    return bool(before) and now[0] is before[0] and now[1:] == before[1:]


def _since(moment: float) -> Callable[[Trial], str]:
    """How long a trial runs already."""

    def said(trial: Trial) -> str:
        if trial.state is not TrialState.RUNNING or not trial.started:
            return "–"
        return duration(max(0.0, moment - seconds_of(trial.started)))

    return said
