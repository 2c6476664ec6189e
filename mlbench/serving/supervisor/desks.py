"""What watches traffic and moves it: canaries and shadows, each unable to take the rest along."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

from mlbench.domain.release import Deployment
from mlbench.serving.control import Message
from mlbench.serving.logging_lines import log


class Desk(Protocol):
    """Decides about traffic in the supervisor, beside the rollout of versions."""

    def deployed(self, deployment: Deployment, prepared: frozenset[str]) -> None:
        """All workers answer from this Deployment now; `prepared` is in memory, by key."""

    def tick(self, now: float) -> Sequence[Message]:
        """What all workers are told, four times a second; `now` is time.monotonic's."""

    def worker_died(self, index: int) -> None:
        """A worker that answered died, of whatever."""

    def greeting(self) -> Sequence[Message]:
        """What a worker is told after each commit, beside what the Deployment says."""

    def close(self) -> None:
        """The server ends."""


class Desks:
    """All desks of a server; one that fails is logged, and asked again the next time."""

    def __init__(self, desks: Sequence[Desk]) -> None:
        """Ask these."""
        self._desks = desks
        self._failed: dict[int, str] = {}

    def deployed(self, deployment: Deployment, prepared: frozenset[str]) -> None:
        """Tell every desk what answers now."""
        self._each(_nothing(lambda desk: desk.deployed(deployment, prepared)))

    def tick(self, now: float) -> list[Message]:
        """What they have to tell all workers."""
        return self._each(lambda desk: desk.tick(now))

    def worker_died(self, index: int) -> None:
        """Tell every desk that a worker died."""
        self._each(_nothing(lambda desk: desk.worker_died(index)))

    def greeting(self) -> list[Message]:
        """What they have to tell a worker that begins to answer."""
        return self._each(lambda desk: desk.greeting())

    def close(self) -> None:
        """Close every desk."""
        self._each(_nothing(lambda desk: desk.close()))

    def _each(self, ask: Callable[[Desk], Sequence[Message]]) -> list[Message]:
        messages: list[Message] = []
        for place, desk in enumerate(self._desks):
            try:
                messages += ask(desk)
            except Exception as error:
                # Whatever it is must not take the environment along, nor fill its log.
                words = f"{type(error).__name__}: {error}"
                if self._failed.get(place) != words:
                    self._failed[place] = words
                    log(
                        "desk_failed",
                        desk=type(desk).__name__,
                        error=words,
                        traceback=traceback.format_exc(),
                    )
        return messages


def _nothing(tell: Callable[[Desk], None]) -> Callable[[Desk], Sequence[Message]]:
    """As a question that nobody answers."""

    def ask(desk: Desk) -> Sequence[Message]:
        tell(desk)
        return ()

    return ask
