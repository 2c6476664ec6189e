"""The hand of the pipeline room: plans the tree, builds stages, stops them."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.errors import MlbenchError
from mlbench.domain.events import Event, Notice, StageFinished
from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.plan import Reason, StageStatus
from mlbench.domain.stages import Project, Stage
from mlbench.engine.effects import StartStage
from mlbench.engine.hands.variants import Variants
from mlbench.engine.inputs import (
    Asked,
    Happened,
    Input,
    Look,
    PlanFailed,
    Planned,
    StageBegan,
    StageDone,
    StageLeft,
    TreeChanged,
    Unfinished,
)
from mlbench.engine.machine import Machine, this_machine
from mlbench.engine.summed_up import as_it_ran, summed_up
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.snapshots import isolated
from mlbench.pipeline.traces import Trace
from mlbench.pipeline.watching.ignored import Ignored, read_by
from mlbench.pipeline.watching.watch import Watch
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout

Put = Callable[[Input], None]


@dataclass
class _Flying:
    """A stage on its way; `is_left`: it was to be let go; `is_gone`: it runs on without us."""

    build: Build
    in_tree: bool
    thread: threading.Thread | None = None
    is_left: bool = False
    is_gone: bool = False


class BuildingHand:
    """Plans and builds in threads of its own, so that the loop never waits."""

    def __init__(self, layout: Layout, put: Put) -> None:
        """Open the workspace of a project and put right what a crash left half done."""
        self._layout = layout
        self._put = put
        self.workspace = Workspace.open(layout)
        self._launches = {
            (found.launch.run, found.launch.stage.name): found
            for found in isolated.unfinished(layout, self.workspace)
        }
        self.recovered = self.workspace.recover()
        self.workspace.traces.compact()
        self.variants = Variants(layout, self.workspace, put, self._machine_for)
        self._project: Project | None = None
        self._stages: Mapping[str, Stage] = {}
        self._machine: Machine | None = None
        self._knows_gpus = self._glancing = False
        self._flying: dict[tuple[str, str], _Flying] = {}
        self._results: dict[str, dict[str, BuildResult]] = {}
        self._threads: set[threading.Thread] = set()
        self._watch: Watch | None = None

    @property
    def project(self) -> Project:
        """The project as it was read last; MlbenchError where it can't be read."""
        if self._project is None:
            self._project = load_project(self._layout)
        return self._project

    def unfinished(self) -> tuple[Unfinished, ...]:
        """The stages that the holder before started and that can be gone on with."""
        going = (*self._launches, *self.variants.unfinished())
        return tuple(Unfinished(run, stage) for run, stage in going)

    def launched_from(self, slot: str) -> tuple[Project, Path]:
        """The project and the folder that a run reads, in a variant or as they stand."""
        variant = self.variants.get(slot)
        if variant is not None:
            return variant.project, variant.root
        return self.project, self._layout.root

    def make_variant(self, request: Asked) -> None:
        """Make a snapshot with the parameters of a request, and plan there."""
        self._start(lambda: self.variants.make(request))

    def plan(self, request: Asked | None) -> None:
        """Read the project's files again and look at the tree."""
        self._start(lambda: self._plan(request))

    def build(self, effect: StartStage) -> None:
        """Make one stage up to date."""
        run, name = effect.run, effect.stage
        variant = self.variants.get(effect.variant)
        stages = self._stages if variant is None else variant.stages
        stage = stages.get(name)
        if stage is None:
            message = f"mlbench.toml has no stage {name} any more"
            self._put(StageDone(run, name, StageOutcome.FAILED, 0.0, None, message=message))
            return
        traces = self.workspace.traces
        trace = traces.newest(name) if variant is None else variant.space.standing(name)
        has_given = trace is not None and trace.run == run
        force = effect.force and not (effect.is_resumed and has_given)

        def on_start(reasons: tuple[Reason, ...]) -> None:
            self._put(StageBegan(run, name, reasons, utc()))

        job = Job(run, self._layout.stage_folder(run, name), force=force, gpus=effect.gpus)
        if variant is not None:
            self._fly(run, name, variant.build(stage, job, on_start, summed_up), in_tree=False)
            return
        self._fly(run, name, self._new_build(stage, job, on_start))

    def _new_build(
        self, stage: Stage, job: Job, on_start: Callable[[tuple[Reason, ...]], None]
    ) -> Build:
        if stage.isolate:
            return isolated.IsolatedBuild(
                self._layout,
                self.workspace,
                self.project,
                stage,
                job,
                on_start=on_start,
                logged=summed_up,
            )
        return Build(self.workspace, self.project, stage, job, on_start=on_start, logged=summed_up)

    def adopt(self, run: str, name: str) -> None:
        """Go on with a stage that the holder before started."""
        adopted = self.variants.adopted(run, name)
        if adopted is not None:
            variant, launch = adopted
            build = variant.adopt(launch, summed_up)
        else:
            found = self._launches.pop((run, name))
            launch, space = found.launch, self.workspace
            build = isolated.adopt(self._layout, space, self.project, found, summed_up)
        began = StageBegan(run, name, launch.reasons, utc(launch.started), is_adopted=True)
        self._put(began)
        self._fly(run, name, build, in_tree=adopted is None)

    def abandon(self, run: str, name: str) -> None:
        """Stop a stage that the project does not have any more, and put its old outs back."""
        found = self._launches.pop((run, name))
        space = found.space(self.workspace)
        self._start(lambda: space.stop(found.launch))

    def stop(self, run: str, name: str, outcome: StageOutcome) -> None:
        """Stop a running stage."""
        flying = self._flying.get((run, name))
        if flying is not None:
            flying.build.stop(outcome)

    def leave(self, run: str, name: str) -> None:
        """Let go of a running stage: its command goes on; what has not begun does not begin."""
        flying = self._flying.get((run, name))
        if flying is None:
            return
        flying.is_left = True
        flying.is_gone = flying.build.leave()
        if flying.is_gone:
            self._put(StageLeft(run, name))

    def unchanged(self, run: str, statuses: Iterable[StageStatus], slot: str) -> list[Event]:
        """What stands of stages that the last plan found fresh; it becomes their result."""
        told: list[Event] = []
        variant = self.variants.get(slot)
        space = variant.space if variant is not None else self.workspace
        for status in statuses:
            trace = space.standing(status.name)
            if trace is not None and variant is None:
                space.traces.touch(trace)
            trace = trace or space.traces.newest(status.name)
            parts = {**trace.parts, **trace.found} if trace is not None else {}
            told.append(self._stands(run, _unchanged(status.name, status.key, trace, parts)))
        return told

    def share(self, run: str, name: str, source: str) -> Event:
        """What stands of a stage that another run has just made; it becomes this one's result."""
        made = self._results[source][name]
        return self._stands(run, _unchanged(name, made.key, made.trace, made.parts))

    def results(self, run: str) -> dict[str, BuildResult]:
        """What became of each stage of a run, once; they are forgotten by this."""
        return self._results.pop(run, {})

    def glance(self) -> None:
        """Have the tree looked at if an input of the last plan moved: events are hints."""
        if self._glancing:
            return
        self._glancing = True

        def work() -> None:
            try:
                if self.workspace.glance():
                    self._put(TreeChanged(()))
            finally:
                self._glancing = False

        self._start(work)

    def set_watching(self, watching: bool) -> str:
        """Start or stop to watch; gives what a user should know of how it is done."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if watching:
            ignored = Ignored(self._layout.root, read_by(self._known_stages()))
            self._watch = Watch(self._layout.root, ignored, self._changed, self._warn)
            self._watch.start()
            return self._watch.detail
        return ""

    def join(self) -> None:
        """Wait for every thread but those of stages that were let go."""
        gone = {flying.thread for flying in self._flying.values() if flying.is_gone}
        for thread in self._threads - gone:
            thread.join()
        self.variants.close()

    def _known_stages(self) -> tuple[Stage, ...]:
        try:
            return self.project.stages
        except MlbenchError:
            return ()

    def _changed(self, paths: tuple[str, ...]) -> None:
        self._put(TreeChanged(paths))

    def _warn(self, message: str) -> None:
        self._put(Happened((Notice(utc(), "warn", message),)))

    def _plan(self, request: Asked | None) -> None:
        try:
            project = load_project(self._layout)
            plan = self.workspace.plan(project)
            looks = self._looks()
        except MlbenchError as error:
            self._put(PlanFailed(str(error), error.exit_status, request))
            return
        except Exception:
            self._put(PlanFailed(f"internal error: {traceback.format_exc()}", 1, request))
            return
        self._project = project
        self._stages = {stage.name: stage for stage in project.stages}
        self._put(Planned(plan, project, self._machine_for(project), request, looks))

    def _looks(self) -> tuple[Look, ...]:
        """The running stages, each with the input of it that was edited, if one was."""
        return tuple(
            Look(run, name, flying.build.running_seconds, flying.build.overtaken_by())
            for (run, name), flying in list(self._flying.items())
            if flying.in_tree and flying.build.running_seconds
        )

    def _machine_for(self, project: Project) -> Machine:
        wants_gpus = any(stage.resources.gpu for stage in project.stages)
        if self._machine is None or (wants_gpus and not self._knows_gpus):
            self._machine = this_machine(with_gpus=wants_gpus)
            self._knows_gpus = wants_gpus
        return self._machine

    def _fly(self, run: str, name: str, build: Build, *, in_tree: bool = True) -> None:
        flying = self._flying[run, name] = _Flying(build, in_tree)
        flying.thread = self._start(lambda: self._build(run, name, flying))

    def _build(self, run: str, name: str, flying: _Flying) -> None:
        try:
            result = flying.build.run()
        except Exception:
            # A fault of ours must not leave the loop waiting for a stage that never ends.
            message = f"internal error: {traceback.format_exc()}"
            result = BuildResult(name, StageOutcome.FAILED, 0.0, message=message)
        if flying.is_gone:
            return
        del self._flying[run, name]
        if flying.is_left and result.outcome is StageOutcome.CANCELLED:
            self._put(StageLeft(run, name))
            return
        self._done(run, name, result)

    def _done(self, run: str, name: str, result: BuildResult) -> None:
        trace, outcome, seconds = result.trace, result.outcome, result.seconds
        if outcome is StageOutcome.UNCHANGED and trace is not None and trace.run == run:
            # The holder before saw it run, in this very run.
            result = as_it_ran(result, trace, self._layout.stage_folder(run, name))
            outcome, seconds = result.outcome, result.seconds
        self._results.setdefault(run, {})[name] = result
        self._put(
            StageDone(
                run,
                name,
                outcome,
                seconds,
                result.key,
                result.reasons,
                result.message,
                result.metrics,
                result.tests,
                result.moved,
                self._wrote_it(run, name, result),
                result.advice,
                result.cpu_seconds,
                result.peak_memory,
            )
        )

    def _stands(self, run: str, result: BuildResult) -> Event:
        self._results.setdefault(run, {})[result.stage] = result
        outcome, metrics, tests = result.outcome, result.metrics, result.tests
        return StageFinished(result.stage, utc(), run, outcome, 0.0, metrics=metrics, tests=tests)

    def _wrote_it(self, run: str, name: str, result: BuildResult) -> bool | None:
        """Whether a stage wrote what overtook it; None where nobody saw what it wrote."""
        if result.moved is None or result.moved_by_itself:
            return result.moved_by_itself or None
        folder = self._layout.stage_folder(run, name)
        return False if self.workspace.runner.seen(folder).traced else None

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, daemon=True)
        self._threads.add(thread)
        thread.start()
        return thread


def _unchanged(
    name: str, key: str | None, trace: Trace | None, parts: Mapping[str, str]
) -> BuildResult:
    outcome = StageOutcome.UNCHANGED
    return BuildResult(name, outcome, 0.0, key=key, trace=trace, parts=parts)
