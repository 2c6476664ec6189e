"""Judging, exporting, promoting: what a loop needs only where there are models or releases."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from mlbench.domain.commands import ExportRun, Promote, Rollback
from mlbench.domain.release import GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project
from mlbench.engine.gating import Gating
from mlbench.engine.hands.judging import JudgingHand
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore

if TYPE_CHECKING:
    from mlbench.engine.hands.releasing import ReleasingHand


class ReleaseDesk:
    """The hands of the rooms release and serving; used by one thread, one thing at a time."""

    def __init__(
        self,
        layout: Layout,
        workspace: Workspace,
        store: ExperimentStore,
        tell: Tell,
        ending: threading.Event | None = None,
    ) -> None:
        """Use what the loop has open; once `ending` is set, what goes on is stopped."""
        releases = Releases(layout)
        gating = Gating(layout, releases, workspace, store, ending)
        shared = (layout, releases, workspace, store, gating)
        self._judging = JudgingHand(*shared, ending)
        self._shared = shared
        self._tell = tell
        self._ending = ending

    def judge(self, project: Project, run: Run, *, exports: bool = True) -> tuple[GateResult, ...]:
        """Judge the gates of every model that a run stands for; `exports` those that may pass."""
        return self._judging.judge(project, run, self._tell, exports=exports)

    def release(self, project: Project, command: Promote | Rollback | ExportRun) -> str:
        """Promote, roll back or export by hand; gives what to say.

        MlbenchError where it is refused, OSError where something can't be written.
        """
        if isinstance(command, ExportRun):
            return self._judging.export(project, command, self._tell)
        if isinstance(command, Promote):
            return self._releasing.promote(project, command, self._tell)
        return self._releasing.rollback(project, command, self._tell)

    @functools.cached_property
    def _releasing(self) -> ReleasingHand:
        # Late: who only judges a run needs nothing that speaks with servers.
        from mlbench.engine.hands.releasing import ReleasingHand

        return ReleasingHand(*self._shared, self._ending)
