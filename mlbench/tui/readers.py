"""Everything that the workbench reads in the background, and how often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlbench.tui.background import Background
from mlbench.tui.following import StageDetail, StageFollower, StageQuestion
from mlbench.tui.reading import (
    History,
    HistoryQuestion,
    queries_of,
    read_head,
    read_history,
    read_releases,
    read_surroundings,
)

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries

A = TypeVar("A")
_SURROUNDINGS_SECONDS = 2.0
_HEAD_SECONDS = 10.0


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
        self._surroundings_at = self._head_at = 0.0

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

    def stop_servers(self) -> None:
        """Stop every environment's server."""
        from mlbench.engine.sandbox import Sandbox

        sandbox = Sandbox(self._queries.layout)
        for environment in sandbox.environments():
            sandbox.down(environment)

    def close(self) -> None:
        """Let the threads end."""
        for reader in (self.surroundings, self.head, self.releases, self.history, self.stage):
            reader.close()

    def _history(self, question: HistoryQuestion) -> History:
        history = read_history(self._queries, question, self._last_history)
        if not history.error:
            self._last_history = history
        return history


def _reader(
    folder: Path, read: Callable[[Queries], A], deliver: Callable[[object], object]
) -> Background[None, A]:
    """A reader with queries of its own, for they remember what they have opened."""
    queries = queries_of(folder)
    return Background(lambda _: read(queries), deliver)
