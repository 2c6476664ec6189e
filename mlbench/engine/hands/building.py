"""The hand of the pipeline room: plans the tree, builds stages, stops them."""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable

from mlbench.domain.errors import MlbenchError
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Reason
from mlbench.domain.stages import Project, Stage
from mlbench.engine.inputs import (
    Asked,
    Input,
    InputMoved,
    PlanFailed,
    Planned,
    StageBegan,
    StageDone,
    TreeChanged,
)
from mlbench.pipeline.builder import Build, BuildResult
from mlbench.pipeline.ignored import Ignored
from mlbench.pipeline.watch import Watch
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.tracking.steps import last_values

Put = Callable[[Input], None]


class BuildingHand:
    """Plans and builds in threads of its own, so that the loop never waits."""

    def __init__(self, layout: Layout, put: Put) -> None:
        """Open the workspace of a project and put right what a crash left half done."""
        self._layout = layout
        self._put = put
        self.workspace = Workspace(layout)
        self.recovered = self.workspace.outs.recover()
        self._project: Project | None = None
        self._builds: dict[str, Build] = {}
        self._results: dict[str, dict[str, BuildResult]] = {}
        self._threads: set[threading.Thread] = set()
        self._watch: Watch | None = None

    @property
    def project(self) -> Project:
        """The project as it was read last; MlbenchError where it can't be read."""
        if self._project is None:
            self._project = load_project(self._layout)
        return self._project

    def plan(self, request: Asked | None) -> None:
        """Read the project's files again and look at the tree."""
        self._start(lambda: self._plan(request))

    def build(self, run: str, name: str, force: bool) -> None:
        """Make one stage up to date."""
        stage = self.project.stage(name)

        def on_start(reasons: tuple[Reason, ...]) -> None:
            self._put(StageBegan(run, name, reasons))

        build = Build(
            self.workspace,
            self.project,
            stage,
            run=run,
            folder=self._layout.stage_folder(run, name),
            force=force,
            on_start=on_start,
            logged=last_values,
        )
        self._builds[name] = build
        self._start(lambda: self._build(run, name, build))

    def stop(self, name: str, outcome: StageOutcome) -> None:
        """Stop a running stage."""
        build = self._builds.get(name)
        if build is not None:
            build.stop(outcome)

    def look_at_running(self, run: str) -> None:
        """Tell of every running stage whose input was edited."""
        for name, build in list(self._builds.items()):
            self._start(functools.partial(self._look_at, run, name, build))

    def results(self, run: str) -> dict[str, BuildResult]:
        """What became of each stage of a run, once; they are forgotten by this."""
        return self._results.pop(run, {})

    def set_watching(self, watching: bool) -> str:
        """Start or stop to watch; gives what a user should know of how it is done."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if watching:
            deps = [dep for stage in self._known_stages() for dep in stage.deps]
            self._watch = Watch(self._layout.root, Ignored(self._layout.root, deps), self._changed)
            self._watch.start()
            return self._watch.detail
        return ""

    def join(self) -> None:
        """Wait for every thread."""
        for thread in list(self._threads):
            thread.join()

    def _known_stages(self) -> tuple[Stage, ...]:
        try:
            return self.project.stages
        except MlbenchError:
            return ()

    def _changed(self, paths: tuple[str, ...]) -> None:
        self._put(TreeChanged(paths))

    def _plan(self, request: Asked | None) -> None:
        try:
            self._project = project = load_project(self._layout)
            plan = self.workspace.plan(project)
        except MlbenchError as error:
            self._put(PlanFailed(str(error), error.exit_status, request))
            return
        except Exception:
            self._put(PlanFailed(f"internal error: {traceback.format_exc()}", 1, request))
            return
        on_edit = {stage.name: stage.on_edit for stage in project.stages}
        self._put(Planned(plan, project.jobs, on_edit, request))

    def _look_at(self, run: str, name: str, build: Build) -> None:
        moved = build.overtaken_by()
        if moved is not None:
            self._put(InputMoved(run, name, moved, build.running_seconds))

    def _build(self, run: str, name: str, build: Build) -> None:
        try:
            result = build.run()
        except Exception:
            # A fault of ours must not leave the loop waiting for a stage that never ends.
            message = f"internal error: {traceback.format_exc()}"
            result = BuildResult(name, StageOutcome.FAILED, 0.0, message=message)
        self._builds.pop(name, None)
        self._results.setdefault(run, {})[name] = result
        self._put(
            StageDone(
                run,
                name,
                result.outcome,
                result.seconds,
                result.key,
                result.reasons,
                result.message,
                result.metrics,
                result.tests,
            )
        )

    def _start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, daemon=True)
        self._threads.add(thread)
        thread.start()
