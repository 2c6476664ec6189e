"""The hand that keeps the cache within its limit."""

from __future__ import annotations

from mlbench.domain.clock import utc
from mlbench.domain.events import Notice
from mlbench.domain.stages import Project
from mlbench.engine.hands.telling import Tell
from mlbench.project.layout import Layout

_GIGABYTE = 1e9


class CleaningHand:
    """Looks at the cache when a run has ended, and cleans it where it has to."""

    def __init__(self, layout: Layout) -> None:
        """Name the project; nothing is read yet."""
        self._layout = layout

    def after_run(self, project: Project, tell: Tell) -> None:
        """Clean if it is due, and say so; what goes wrong with it is told, and costs no run."""
        # A run with nothing to do needs none of this, and should not wait for its import.
        from mlbench.engine.collecting import CacheWatch

        try:
            done = CacheWatch(self._layout).after_run(project)
        except Exception as error:
            # The run has ended and is on record; nothing of it may be lost for this.
            tell(Notice(utc(), "warn", f"the cache could not be cleaned: {error}"))
            return
        if done is not None:
            freed, size = done.freed / _GIGABYTE, done.size / _GIGABYTE
            told = f"the cache was over its limit: freed {freed:.2g} GB, {size:.2g} GB are left"
            tell(Notice(utc(), "info", f"{told}; `mlbench gc` says what stays, and why"))
