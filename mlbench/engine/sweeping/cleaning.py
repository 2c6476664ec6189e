"""Keeping the cache within its limit while trials fill it."""

from __future__ import annotations

import threading

from mlbench.domain.events import Event, Notice
from mlbench.domain.stages import Project
from mlbench.engine.hands.cleaning import CleaningHand
from mlbench.project.layout import Layout


class TrialCleaning:
    """Looks at the cache after trials, beside those that run; one look at a time."""

    def __init__(self, layout: Layout, project: Project) -> None:
        """The project says how large the cache may be."""
        self._hand = CleaningHand(layout)
        self._project = project
        self._thread: threading.Thread | None = None

    def after_trial(self) -> None:
        """Clean if it is due and nobody is at it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._clean, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait until it is clean, also of what came last."""
        if self._thread is not None:
            self._thread.join()
        self._clean()

    def _clean(self) -> None:
        self._hand.after_run(self._project, _log)


def _log(event: Event) -> None:
    if isinstance(event, Notice):
        print(event.message, flush=True)
