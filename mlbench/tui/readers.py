"""Everything that the workbench reads in the background, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlbench.tui.background import Background
from mlbench.tui.draw.columns import catalogue, differing
from mlbench.tui.following import StageDetail, StageFollower, StageQuestion
from mlbench.tui.history import History, HistoryQuestion, read_history
from mlbench.tui.opened import (
    Compared,
    ComparisonQuestion,
    Curves,
    CurvesQuestion,
    Question,
    Restorable,
    RestoreQuestion,
    RunDetail,
    RunQuestion,
    RunReader,
)
from mlbench.tui.pictures import Picture, PictureQuestion, read_picture
from mlbench.tui.reading import queries_of, read_head, read_releases, read_surroundings
from mlbench.tui.release_reading import (
    CardLines,
    CardQuestion,
    GatesQuestion,
    GatesToday,
    LedgerLook,
    LedgerQuestion,
    ReleaseAsk,
    ReleaseDetail,
    ReleaseQuestion,
    ReleaseReader,
    SidesQuestion,
    lay_out,
)
from mlbench.tui.serving_reading import ServingReaders
from mlbench.tui.sweeping_reading import SweepReaders

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries

A = TypeVar("A")
_SURROUNDINGS_SECONDS = 2.0
_HEAD_SECONDS = 10.0
_RECORD_SECONDS = 0.25
# What goes on changes a row's values alone, and a long history takes a while to read.
_GOING_SECONDS = 2.0


class Readers:
    """One thread for each kind of question, so that a slow one keeps no other waiting."""

    def __init__(self, folder: Path, deliver: Callable[[object], object]) -> None:
        """Read the project that this folder belongs to; UsageError where there is none."""
        self._queries = queries_of(folder)
        self.root = self._queries.root
        self._last_history = History()
        self.surroundings = _reader(folder, read_surroundings, deliver)
        self.head = _reader(folder, read_head, deliver)
        self.releases = _reader(folder, read_releases, deliver)
        self.history: Background[HistoryQuestion, History] = Background(self._history, deliver)
        follower = StageFollower(queries_of(folder))
        self.stage: Background[StageQuestion, StageDetail] = Background(follower.look, deliver)
        self.run: Background[RunQuestion, RunDetail] = Background(
            RunReader(queries_of(folder)).run, deliver
        )
        self.comparison: Background[ComparisonQuestion, Compared] = Background(
            RunReader(queries_of(folder)).compare, deliver
        )
        self.curves: Background[CurvesQuestion, Curves] = Background(
            RunReader(queries_of(folder)).curves, deliver
        )
        self.restorable: Background[RestoreQuestion, Restorable] = Background(
            RunReader(queries_of(folder)).restorable, deliver
        )
        self.release: Background[ReleaseQuestion, ReleaseDetail] = Background(
            ReleaseReader(queries_of(folder)).files, deliver
        )
        self._judge = ReleaseReader(queries_of(folder))
        self.gates: Background[GatesQuestion, GatesToday] = Background(self._judge.gates, deliver)
        self.ledger: Background[LedgerQuestion, LedgerLook] = Background(
            ReleaseReader(queries_of(folder)).ledger, deliver
        )
        self.sides = Background(self._judge.compare, deliver)
        self.card: Background[CardQuestion, CardLines] = Background(lay_out, deliver)
        self.picture: Background[PictureQuestion, Picture] = Background(read_picture, deliver)
        self.serving = ServingReaders(folder, deliver)
        self.sweeping = SweepReaders(folder, deliver)
        self._surroundings_at = self._head_at = self._record_at = self._history_at = 0.0
        self._record_stamp = self._queries.record_stamp()
        self.record: Background[float, None] = Background(
            self._look_at_record, lambda found: found is None or deliver(found)
        )

    def ask(self, question: Question | ReleaseAsk) -> None:
        """Read about runs and versions that somebody looks at."""
        match question:
            case RunQuestion():
                self.run.ask(question)
            case ComparisonQuestion():
                self.comparison.ask(question)
            case CurvesQuestion():
                self.curves.ask(question)
            case RestoreQuestion():
                self.restorable.ask(question)
            case ReleaseQuestion():
                self.release.ask(question)
            case GatesQuestion():
                self.gates.ask(question)
            case LedgerQuestion():
                self.ledger.ask(question)
            case SidesQuestion():
                self.sides.ask(question)
            case CardQuestion():
                self.card.ask(question)

    def refresh_all(self, question: HistoryQuestion) -> None:
        """Read everything anew."""
        self.surroundings.ask(None)
        self.head.ask(None)
        self.releases.ask(None)
        self.history.ask(question)

    def tick(self, elapsed: float) -> None:
        """Read what may have changed without an event, so many seconds after the start."""
        if elapsed - self._surroundings_at >= _SURROUNDINGS_SECONDS:
            self._surroundings_at = elapsed
            self.surroundings.ask(None)
        if elapsed - self._head_at >= _HEAD_SECONDS:
            self._head_at = elapsed
            self.head.ask(None)
        if elapsed - self._record_at >= _RECORD_SECONDS:
            self._record_at = elapsed
            self.record.ask(elapsed)

    def stop_servers(self) -> None:
        """Stop every environment's server."""
        from mlbench.engine.sandbox import Sandbox

        sandbox = Sandbox(self._queries.layout)
        for environment in sandbox.stoppable():
            sandbox.down(environment)

    def close(self) -> None:
        """Let the threads end."""
        self.surroundings.close()
        self.head.close()
        self.releases.close()
        self.record.close()
        self.history.close()
        self.stage.close()
        self.run.close()
        self.comparison.close()
        self.curves.close()
        self.restorable.close()
        self.release.close()
        self._judge.end()
        self.gates.close()
        self.ledger.close()
        self.sides.close()
        self.card.close()
        self.picture.close()
        self.serving.close()
        self.sweeping.close()

    def _look_at_record(self, elapsed: float) -> None:
        """Have the history read anew where somebody changed it, or a script is still going."""
        stamp = self._queries.record_stamp()
        is_going = any(run.outcome is None for run in self._last_history.recent)
        is_due = is_going and elapsed - self._history_at >= _GOING_SECONDS
        if stamp != self._record_stamp or is_due:
            self._record_stamp, self._history_at = stamp, elapsed
            self.history.ask_again()

    def _history(self, question: HistoryQuestion) -> History:
        history = read_history(self._queries, question, self._last_history)
        if not history.error:
            sample = history.sample
            history = replace(history, differing=differing(sample), columns=catalogue(sample))
            self._last_history = history
        return history


def _reader(
    folder: Path, read: Callable[[Queries], A], deliver: Callable[[object], object]
) -> Background[None, A]:
    """A reader with queries of its own, for they remember what they have opened."""
    queries = queries_of(folder)
    return Background(lambda _: read(queries), deliver)
