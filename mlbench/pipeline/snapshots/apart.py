"""Where stages run apart from the project: filling the snapshot, and building there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mlbench.domain.plan import Reason
from mlbench.domain.stages import Out, Project, Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import Job
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.snapshots.isolated import inside
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.snapshots.variant_build import VariantBuild
from mlbench.pipeline.snapshots.wanted import inputs_among
from mlbench.pipeline.workspace import Workspace


class Apart:
    """A snapshot that is held and where stages run: traces and outs reach the cache, no more."""

    def __init__(
        self,
        snapshot: Snapshot,
        workspace: Workspace,
        project: Project,
        resumed_from: Workspace | None = None,
    ) -> None:
        """`workspace` is the project's own.

        What persists is gone on with as it is in `resumed_from`: usually in the project.
        """
        self.root = snapshot.tree
        self.space = inside(workspace, snapshot)
        self.project = project
        self._snapshot = snapshot
        self._origin = workspace
        self._resumed_from = resumed_from or workspace

    def build(
        self,
        stage: Stage,
        job: Job,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
    ) -> VariantBuild:
        """A build of one stage here."""
        return VariantBuild(
            self._origin,
            self._resumed_from,
            self.space,
            self.project,
            stage,
            job,
            on_start=on_start,
            logged=logged,
        )

    def adopt(self, launch: Launch, logged: Callable[[Path], Mapping[str, float]]) -> Build:
        """A build here that a holder before began."""
        return Build.adopt(self.space, self.project, launch, logged=logged)

    def clear(self) -> None:
        """Stop and take back whatever a holder before has left running or half done."""
        self.space.stop_all()


def fill(
    snapshot: Snapshot,
    workspace: Workspace,
    project: Project,
    stages: Sequence[Stage],
    kept: Iterable[str],
) -> None:
    """Make a snapshot what these stages need, as the project stands now.

    A frozen stage does not run: what it gave once is an input like any other. What is `kept` is the
    snapshot's own matter.
    """
    inputs = [out.path for stage in stages if stage.frozen for out in stage.outs]
    for stage in stages:
        latest = workspace.traces.latest(stage.name)
        found = latest.found if latest is not None else ()
        inputs += inputs_among((*workspace.fingerprint(stage, project).parts, *found))
    snapshot.bring_up_to_date(stages, project, inputs, kept)


def written(stages: Iterable[Stage]) -> list[Out]:
    """What these stages write when they run; a frozen one does not."""
    return [out for stage in stages if not stage.frozen for out in stage.outs]
