"""Judging, exporting, promoting: what a loop needs only where there are models or releases."""

from __future__ import annotations

import traceback

from mlbench.domain.commands import Promote, Rollback
from mlbench.domain.errors import MlbenchError
from mlbench.domain.release import GateResult
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project
from mlbench.engine.hands.judging import JudgingHand
from mlbench.engine.hands.releasing import ReleasingHand
from mlbench.engine.hands.telling import Tell
from mlbench.engine.releases import Releases
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore


class ReleaseDesk:
    """The hands of the rooms release and serving; used by one thread, one thing at a time."""

    def __init__(
        self, layout: Layout, workspace: Workspace, store: ExperimentStore, tell: Tell
    ) -> None:
        """Use what the loop has open."""
        shared = (layout, Releases(layout), workspace, store)
        self._judging = JudgingHand(*shared)
        self._releasing = ReleasingHand(*shared)
        self._tell = tell

    def judge(self, project: Project, run: Run, *, exports: bool = True) -> tuple[GateResult, ...]:
        """Judge the gates of every model that a run stands for; `exports` those that may pass."""
        return self._judging.judge(project, run, self._tell, exports=exports)

    def release(self, project: Project, command: Promote | Rollback) -> tuple[int, str]:
        """Promote or roll back; gives the exit status and what to say."""
        try:
            if isinstance(command, Promote):
                return 0, self._releasing.promote(project, command, self._tell)
            return 0, self._releasing.rollback(project, command, self._tell)
        except MlbenchError as error:
            return error.exit_status, str(error)
        except Exception:
            return 1, f"internal error: {traceback.format_exc()}"
