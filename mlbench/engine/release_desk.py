"""Judging, exporting, promoting: what a loop needs only where there are models or releases."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from mlbench.domain.commands import (
    EndTrial,
    ExportRun,
    Promote,
    Release,
    Rollback,
    SetTraffic,
    StartCanary,
    StartShadow,
)
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
    from mlbench.engine.hands.choosing import Choosing
    from mlbench.engine.hands.going_live import GoingLive
    from mlbench.engine.hands.releasing import ReleasingHand
    from mlbench.engine.hands.sharing import SharingHand
    from mlbench.engine.hands.verdicts import Settling


class ReleaseDesk:
    """The hands of the rooms release and serving; used by one thread, one thing at a time."""

    def __init__(
        self,
        layout: Layout,
        workspace: Workspace,
        store: ExperimentStore,
        tell: Tell,
        ending: threading.Event | None = None,
        since: str = "",
    ) -> None:
        """Use what the loop has open; once `ending` is set, what goes on is stopped.

        `since` is when the loop began: what servers settle from then on is told.
        """
        releases = Releases(layout)
        gating = Gating(layout, releases, workspace, store, ending)
        shared = (layout, releases, workspace, store, gating)
        self._judging = JudgingHand(*shared, ending)
        self._layout = layout
        self._shared = shared
        self._tell = tell
        self._ending = ending or threading.Event()
        self._since = since

    def judge(self, project: Project, run: Run, *, exports: bool = True) -> tuple[GateResult, ...]:
        """Judge the gates of every model that a run stands for; `exports` those that may pass."""
        return self._judging.judge(project, run, self._tell, exports=exports)

    def release(self, project: Project, command: Release) -> str:
        """Carry out what changes an environment, or export by hand; gives what to say.

        MlbenchError where it is refused, OSError where something can't be written.
        """
        tell = self._tell
        match command:
            case ExportRun():
                return self._judging.export(project, command, tell)
            case Promote():
                return self._releasing.promote(project, command, tell)
            case Rollback():
                return self._releasing.rollback(project, command, tell)
            case SetTraffic():
                return self._sharing.share(project, command, tell)
            case StartCanary():
                return self._sharing.canary(project, command, tell)
            case StartShadow():
                return self._sharing.shadow(project, command, tell)
            case EndTrial():
                return self._sharing.end(project, command, tell)

    def settle_canaries(self, project: Project) -> None:
        """Write down what canaries came to, and tell it."""
        self._settling.settle(project, self._tell)

    # Late: who only judges a run needs nothing that speaks with servers.

    @functools.cached_property
    def _going_live(self) -> GoingLive:
        from mlbench.engine.hands.going_live import GoingLive

        return GoingLive(self._layout, self._shared[1], self._ending)

    @functools.cached_property
    def _choosing(self) -> Choosing:
        from mlbench.engine.hands.choosing import Choosing

        return Choosing(*self._shared)

    @functools.cached_property
    def _releasing(self) -> ReleasingHand:
        from mlbench.engine.hands.releasing import ReleasingHand

        return ReleasingHand(self._layout, self._shared[1], self._choosing, self._going_live)

    @functools.cached_property
    def _sharing(self) -> SharingHand:
        from mlbench.engine.hands.sharing import SharingHand

        return SharingHand(self._layout, self._shared[1], self._choosing, self._going_live)

    @functools.cached_property
    def _settling(self) -> Settling:
        from mlbench.engine.hands.verdicts import Settling

        return Settling(self._layout, self._shared[1], self._going_live, self._since)
