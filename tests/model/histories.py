"""Random histories of edits and builds, held to the laws of the decision core."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.graph import in_order, with_ancestors
from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.stages import Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.running import Runner
from mlbench.pipeline.traces import Traces
from mlbench.pipeline.workspace import KeyLocks, Workspace
from tests.model.fakes import Crash, FakeJournal, FakeStore, FakeTree, FakeVersions, Process
from tests.model.laws import Begun, Laws
from tests.model.oracle import ROOT
from tests.model.profiles import Profile
from tests.model.runner import FakeRunner, Fate, Live
from tests.model.world import STATE, World

_OP_NS = 20_000
_STAND = (StageOutcome.RAN, StageOutcome.UNCHANGED, StageOutcome.RESTORED)


class History:
    """One world with one loop at a time; `step` goes on by one event, plan or build."""

    def __init__(self, seed: int, profile: Profile | None = None) -> None:
        self.rng = random.Random(seed)
        self.profile = profile or Profile()
        self.world = World(self.rng, self.profile)
        self.laws = Laws(self.world)
        self.outcomes: Counter[str] = Counter()
        self._edits_at_once = 0.0
        self._runs = 0
        self._active: dict[str, Build] = {}
        self._is_meddling = False
        self._is_spared = False
        self.open()

    def open(self) -> None:
        """A new process of the loop over the folder as it is."""
        world = self.world
        self.process = Process(self._between)
        self.workspace = Workspace(
            Path(ROOT),
            STATE,
            tree=FakeTree(world.disk, self.process, self._on_write, self._on_remove),
            store=FakeStore(world.disk, world.objects, self.process, self._on_put),
            traces=Traces(FakeJournal(world.lines, self.process)),
            versions=FakeVersions(world.disk),
            runner=self._runner(),
            building=KeyLocks(),
        )

    def step(self) -> None:
        """One step of the history; Violation where a law is broken."""
        world, rng = self.world, self.rng
        what = rng.choices(("edit", "time", "plan", "build", "restart"), self.profile.steps)[0]
        if what == "edit":
            world.edit()
        elif what == "time":
            world.pass_time()
            world.events["time"] += 1
        elif what == "plan":
            self._plan()
        elif what == "build":
            self._build_all()
        else:
            world.events["restart"] += 1
            self.open()

    def _runner(self) -> Runner:
        return FakeRunner(
            self.world.machine, self.process, self._on_start, self._between_steps, self._on_end
        )

    # What goes on while the core works, and while a stage runs.

    def _between(self) -> None:
        self.world.disk.now += _OP_NS
        if self._edits_at_once and self.rng.random() < self._edits_at_once:
            self.world.edit(meanwhile=True)
            if self.rng.randrange(4) == 0:
                self.world.pass_time(short=True)

    def _on_write(self, path: str) -> None:
        """Between the last look and the start an edit hurts most."""
        if "/intents/" not in path:
            return
        self.laws.written_down()
        chance = self.rng.random() if self._is_meddling else 1.0
        if chance < 0.1:
            self._edits_at_once = 0.1
        elif chance < 0.1 + self.profile.before_start:
            self.laws.edit_before_look(Path(path).stem, self.world.edit)

    def _on_remove(self, path: str) -> None:
        """A crash when all is done but for the intent is the last that can be met."""
        is_intent = self._is_meddling and "/intents/" in path
        if is_intent and not self._is_spared and self.rng.random() < self.profile.crashes_at_end:
            self.process.fuse = 1

    def _on_put(self, path: str) -> None:
        """What is to be kept has been hashed; what comes now must not be kept in its place."""
        is_one = self._is_meddling and self._active and self.process.fuse < 0
        if is_one and self.rng.random() < self.profile.tampers:
            stage = self.world.project.stage(list(self._active)[-1])
            if any(path.startswith(f"{ROOT}/{out}") for out in stage.out_paths):
                self.world.edits += 1
                self.world.events["tamper with what is kept"] += 1
                # After a crash the next process would take it for what the stage has written.
                self._is_spared = True
                self.world.tamper(stage)

    def _on_end(self) -> None:
        """And so it does between the end and the record."""
        if self._is_meddling and self.rng.random() < self.profile.crashes_at_end:
            self.process.fuse = 1 + self.rng.randrange(self.profile.crash_within // 2)
        if self._is_meddling and self.rng.random() < 0.3:
            self._edits_at_once = 0.1

    def _on_start(self, stage: Stage) -> None:
        self.world.busy.add(stage.name)
        self.laws.started(stage)
        self._edits_at_once = min(self._edits_at_once, 0.01)

    def _between_steps(self, live: Live) -> None:
        world, rng = self.world, self.rng
        if not self._is_meddling:
            world.disk.now += 1_000_000
            return
        if rng.random() < self.profile.while_it_runs:
            for _ in range(rng.choice((1, 1, 2))):
                world.edit(meanwhile=True)
        world.pass_time(short=live.view.is_compiling)
        chance = rng.random() / (self.profile.disasters or 1e-9)
        if chance < 0.02:
            self.laws.meddled()
            live.kill()
            world.events["kill of a stage"] += 1
        elif chance < 0.03:
            self.laws.meddled()
            live.is_supervised = False
            world.events["kill of a supervisor"] += 1
        elif chance < 0.05:
            self._stop(live)
        elif chance < 0.06:
            self.process.fuse = 1 + rng.randrange(30)
        elif chance < 0.09 and not live.view.is_compiling and len(self._active) < 2:
            self._build_another()

    def _stop(self, live: Live) -> None:
        build = self._active.get(live.stage.name)
        if build is not None:
            self.laws.meddled()
            is_overtaken = build.overtaken_by() is not None
            build.stop(StageOutcome.OVERTAKEN if is_overtaken else StageOutcome.CANCELLED)
            self.world.events["stop"] += 1

    # Plans and builds.

    def _plan(self) -> None:
        self.world.events["plan"] += 1
        with self._recovering():
            try:
                plan = self.workspace.plan(self.world.project)
            except ProjectFileError:
                return
            for status in plan.stages:
                if status.state is StageState.FRESH:
                    self.laws.fresh(self.world.project.stage(status.name))

    def _build_all(self) -> None:
        """All stages in order, as a run does; then a quiet look at what stands."""
        rng, world = self.rng, self.world
        world.events["build"] += 1
        self._is_meddling = rng.random() < self.profile.meddling
        if self._is_meddling:
            self._edits_at_once = rng.choice((0.0, 0.0, 0.003, 0.03))
            if rng.random() < self.profile.crashes:
                self.process.fuse = 1 + rng.randrange(self.profile.crash_within)
        self.laws.is_unhurried = not self._is_meddling and rng.random() < 0.5
        world.appeared = set()
        with self._recovering():
            self._sweep(world.project.stages)
        world.appeared = None
        self._calm()
        world.remember()
        self._plan()

    def _sweep(self, stages: tuple[Stage, ...]) -> None:
        project = self.world.project
        try:
            needs = self.workspace.plan(project).needs
        except ProjectFileError:
            return
        begun = self.world.edits
        settled: set[str] = set()
        for name in in_order({name: frozenset(wanted) for name, wanted in needs.items()}):
            if settled.issuperset(needs[name]):
                if self._is_meddling and self.rng.random() < self.profile.fates:
                    self.world.machine.next_fate = self.rng.choice(self.profile.kinds_of_fate)
                    self.laws.meddled()
                if self.laws.is_unhurried:
                    self.world.disk.now += 2 * self.world.disk.granularity
                result = self._build(project.stage(name), begun, settled)
                if result.outcome in _STAND:
                    settled.add(name)

    def _build_another(self) -> None:
        """A stage beside the one that runs, where neither needs the other."""
        project = self.world.project
        try:
            plan = self.workspace.plan(project)
        except ProjectFileError:
            return
        needs = {name: frozenset(wanted) for name, wanted in plan.needs.items()}
        states = {status.name: status.state for status in plan.stages}
        free = [
            name
            for name in needs
            if name not in self._active
            and not any(name in with_ancestors([on], needs) for on in self._active)
            and not with_ancestors([name], needs) & self._active.keys()
            and all(states[up] is StageState.FRESH for up in needs[name])
            and states[name] is not StageState.FRESH
        ]
        if free:
            self.world.events["build beside"] += 1
            self.laws.meddled()
            self._build(project.stage(self.rng.choice(free)), -1, set())

    def _build(self, stage: Stage, edits: int, settled: set[str]) -> BuildResult:
        self._runs += 1
        folder = STATE.parent / "runs" / str(self._runs) / stage.name
        job = Job(str(self._runs), folder, force=self.rng.random() < 0.02)
        begun = self.laws.begin(stage, edits, frozenset(settled), is_forced=job.force)
        build = Build(
            self.workspace,
            self.world.project,
            stage,
            job,
            on_start=lambda reasons: None,
            logged=lambda folder: {},
        )
        return self._go(build, stage, begun)

    def _go(self, build: Build, stage: Stage, begun: Begun) -> BuildResult:
        self._active[stage.name] = build
        try:
            result = build.run()
        finally:
            self._active.pop(stage.name, None)
        self._is_spared = False
        self.world.machine.next_fate = Fate.NONE
        self.world.busy.discard(stage.name)
        self.outcomes[result.outcome.word] += 1
        self.laws.ended(begun, result)
        return result

    # Crashes of the loop, and what the next process makes of them.

    @contextmanager
    def _recovering(self) -> Iterator[None]:
        try:
            yield
        except Crash:
            self._calm()
            self._recover()

    def _calm(self) -> None:
        self.process.fuse = -1
        self._edits_at_once = 0.0
        self._is_meddling = False
        self.world.machine.next_fate = Fate.NONE
        self.laws.calm()

    def _recover(self) -> None:
        world, rng = self.world, self.rng
        while True:
            world.events["crash"] += 1
            self._active.clear()
            self._meanwhile()
            self.open()
            if rng.random() < 0.3:
                self.process.fuse = 1 + rng.randrange(60)
            try:
                for launch in self.workspace.unfinished():
                    self._adopt(launch)
                self.workspace.recover()
            except Crash:
                continue
            break
        self._calm()
        world.busy.clear()
        self.laws.recovered()

    def _adopt(self, launch: Launch) -> None:
        self.world.events["adopt"] += 1
        self.world.busy.add(launch.stage.name)
        begun = self.laws.taken_over(launch.stage)
        build = Build.adopt(self.workspace, self.world.project, launch, logged=lambda folder: {})
        self._go(build, launch.stage, begun)

    def _meanwhile(self) -> None:
        """While no loop runs, stages go on or end, and people edit."""
        world, rng = self.world, self.rng
        if rng.random() < 0.5:
            return
        for live in list(world.machine.live.values()):
            if live.is_over:
                continue
            chance = rng.random()
            if chance < 0.2:
                live.is_supervised = False
            for _ in range(rng.choice((0, 2, 40))):
                live.advance()
                world.disk.now += 1_000_000
            if chance > 0.9:
                live.kill()
        for _ in range(rng.randrange(3)):
            world.edit()
            world.pass_time()
