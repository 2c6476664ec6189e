"""Running a stage in a snapshot, so that edits of the project don't reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Reason
from mlbench.domain.stages import Project, Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.fingerprint import Fingerprint
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.launch import Launch, file_name
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.snapshots.wanted import inputs_among
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.verdict import changed_part
from mlbench.pipeline.workspace import Workspace
from mlbench.project.layout import Layout

_PURPOSE = "isolate-"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A launch of another process that can be gone on with, and the snapshot that it runs in."""

    launch: Launch
    snapshot: Snapshot | None = None

    def space(self, workspace: Workspace) -> Workspace:
        """The workspace that it runs in: the project's, or that of its snapshot."""
        return inside(workspace, self.snapshot) if self.snapshot is not None else workspace


class IsolatedBuild(Build):
    """A build whose commands run in a snapshot; what they give is brought back at the end.

    It is fresh for the fingerprint at launch, whatever was edited since.
    """

    def __init__(
        self,
        layout: Layout,
        workspace: Workspace,
        project: Project,
        stage: Stage,
        job: Job,
        *,
        on_start: Callable[[tuple[Reason, ...]], None],
        logged: Callable[[Path], Mapping[str, float]],
    ) -> None:
        """As `Build`; `layout` is where the snapshots lie."""
        super().__init__(workspace, project, stage, job, on_start=on_start, logged=logged)
        self._layout = layout
        self._inner: Build | None = None
        self._adopted: Snapshot | None = None

    @classmethod
    def adopt_in(
        cls,
        layout: Layout,
        workspace: Workspace,
        project: Project,
        unfinished: Unfinished,
        logged: Callable[[Path], Mapping[str, float]],
    ) -> IsolatedBuild:
        """A build that another process began in a snapshot."""
        launch, snapshot = unfinished.launch, unfinished.snapshot
        assert snapshot is not None
        job = Job(launch.run, Path(launch.folder))
        build = cls(
            layout,
            workspace,
            project,
            launch.stage,
            job,
            on_start=lambda _: None,
            logged=logged,
        )
        build._adopted = snapshot
        build._inner = Build.adopt(
            inside(workspace, snapshot),
            project,
            launch,
            logged=logged,
            on_kept=lambda trace: build._bring_back(trace, snapshot),
        )
        return build

    def stop(self, outcome: StageOutcome = StageOutcome.CANCELLED) -> None:
        """Stop the stage, wherever it runs."""
        super().stop(outcome)
        with self._lock:
            if self._inner is not None:
                self._inner.stop(outcome)

    def leave(self) -> bool:
        """Let the command go on, wherever it runs."""
        with self._lock:
            inner = self._inner
        return inner.leave() if inner is not None else super().leave()

    def overtaken_by(self) -> str | None:
        """The project's input that was edited since; the stage itself does not see it."""
        launch = self._inner.launch if self._inner is not None else None
        return changed_part(self._workspace, self._project, launch) if launch is not None else None

    @property
    def running_seconds(self) -> float:
        """How long the command has been running."""
        return self._inner.running_seconds if self._inner is not None else 0.0

    def run(self) -> BuildResult:
        """Make the stage up to date and say what became of it; raises nothing a user can cause."""
        if self._inner is None:
            return super().run()
        try:
            return self._inner.run()
        finally:
            if self._adopted is not None:
                self._adopted.release()

    def _execute(self, fingerprint: Fingerprint, reasons: tuple[Reason, ...]) -> BuildResult | None:
        snapshot = Snapshot.take_free(self._layout, f"{_PURPOSE}{file_name(self._stage.name)}")
        try:
            latest = self._workspace.traces.latest(self._stage.name)
            found = latest.found if latest is not None else ()
            kept = (out.path for out in self._stage.outs if out.persist)
            also = (*inputs_among((*fingerprint.parts, *found)), *kept)
            snapshot.bring_up_to_date((self._stage,), self._project, also)
            return self._execute_in(snapshot, fingerprint, reasons)
        finally:
            snapshot.release()

    def _execute_in(
        self, snapshot: Snapshot, fingerprint: Fingerprint, reasons: tuple[Reason, ...]
    ) -> BuildResult | None:
        space = inside(self._workspace, snapshot)
        copied = space.fingerprint(self._stage, self._project)
        if copied.key != fingerprint.key:
            return None
        inner = Build(
            space,
            self._project,
            self._stage,
            replace(self._job, force=True),
            on_start=lambda _: self._on_start(reasons),
            logged=self._logged,
            on_kept=lambda trace: self._bring_back(trace, snapshot),
        )
        with self._lock:
            self._inner = inner
            if self._stopping is not None:
                inner.stop(self._stopping)
        result = inner.attempt(copied)
        return replace(result, reasons=reasons) if result is not None else None

    def _bring_back(self, trace: Trace, snapshot: Snapshot) -> None:
        """Put what the stage gave into the project: from the store, or as it lies where it ran."""
        space = self._workspace
        persistent = {out.path for out in self._stage.outs if out.persist}
        kept = {
            path: digest
            for path, digest in trace.outs.items()
            if path not in persistent and space.store.has(digest)
        }
        space.outs.restore(self._stage, kept)
        for path in trace.outs.keys() - kept.keys():
            space.tree.remove(space.root / path)
            space.tree.copy(snapshot.tree / path, space.root / path)
        space.traces.touch(trace)


def adopt(
    layout: Layout,
    workspace: Workspace,
    project: Project,
    found: Unfinished,
    logged: Callable[[Path], Mapping[str, float]],
) -> Build:
    """The build that another process began, wherever it runs."""
    if found.snapshot is not None:
        return IsolatedBuild.adopt_in(layout, workspace, project, found, logged)
    return Build.adopt(workspace, project, found.launch, logged=logged)


def inside(workspace: Workspace, snapshot: Snapshot) -> Workspace:
    """The workspace over a snapshot of a workspace's tree."""
    return workspace.at(snapshot.tree, Layout(snapshot.tree).state)


def unfinished(layout: Layout, workspace: Workspace) -> Iterator[Unfinished]:
    """Every launch of another process that can be gone on with, in the project or a snapshot.

    The snapshot's slot is held from here on, until the build that goes on with it has ended.
    """
    for launch in workspace.unfinished():
        yield Unfinished(launch)
    if not layout.snapshots.is_dir():
        return
    for folder in sorted(layout.snapshots.glob(f"{_PURPOSE}*")):
        snapshot = Snapshot(layout, folder.name)
        if not snapshot.try_acquire(with_leftover=True):
            continue
        space = inside(workspace, snapshot)
        going = space.unfinished()
        for launch in going:
            yield Unfinished(launch, snapshot)
        if not going:
            space.recover()
            snapshot.release()
