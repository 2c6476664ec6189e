"""One stage over the disk in memory, with an edit or a crash just where a test wants it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

from mlbench.domain.outcomes import StageState
from mlbench.domain.stages import Stage
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.launch import Launch
from mlbench.pipeline.traces import Traces
from mlbench.pipeline.workspace import KeyLocks, Workspace
from tests.model.disk import TICK_NS
from tests.model.fakes import FakeJournal, FakeStore, FakeTree, FakeVersions, Process
from tests.model.oracle import ROOT
from tests.model.profiles import Profile
from tests.model.runner import FakeRunner, Live
from tests.model.world import STATE, World

Do = Callable[[], None]


class Bench:
    """A world whose people do nothing unless they are told to."""

    def __init__(
        self,
        name: str,
        versions: Mapping[str, tuple[str | None, ...]] | None = None,
        granularity: int = TICK_NS,
    ) -> None:
        profile = Profile(stages=(name,), versions=versions or {}, granularity=granularity)
        self.world = World(random.Random(0), profile)
        self.disk = self.world.disk
        self.while_it_runs: dict[int, Do] = {}
        self._runs = 0
        self._steps = 0
        self.open()

    @property
    def stage(self) -> Stage:
        return self.world.project.stages[0]

    def open(self) -> None:
        """A new process of the loop."""
        world, self.process = self.world, Process()
        self.workspace = Workspace(
            Path(ROOT),
            STATE,
            tree=FakeTree(world.disk, self.process),
            store=FakeStore(world.disk, world.objects, self.process),
            traces=Traces(FakeJournal(world.lines, self.process)),
            versions=FakeVersions(world.disk),
            runner=FakeRunner(
                world.machine, self.process, lambda stage: None, self._between, lambda: None
            ),
            building=KeyLocks(),
        )

    def edit(self, path: str, text: str) -> None:
        """In place."""
        self.disk.write(f"{ROOT}/{path}", text.encode())

    def settle(self) -> None:
        """Let ten seconds go by."""
        self.disk.now += 10_000_000_000

    def build(self) -> BuildResult:
        self._runs += 1
        folder = STATE.parent / "runs" / str(self._runs)
        return Build(
            self.workspace,
            self.world.project,
            self.stage,
            Job(str(self._runs), folder),
            on_start=lambda reasons: None,
            logged=lambda folder: {},
        ).run()

    def recover(self) -> None:
        """What a new process does with what the last one left."""
        self.open()
        for launch in self.workspace.unfinished():
            self._adopt(launch)
        self.workspace.recover()

    def is_fresh(self) -> bool:
        (status,) = self.workspace.plan(self.world.project).stages
        return status.state is StageState.FRESH

    def outs(self) -> dict[str, str | None]:
        return self.world.outs_of(self.stage.out_paths)

    def clean(self) -> dict[str, str]:
        """What a clean build gives."""
        self.world.edits += 1
        return dict(self.world.oracle.clean(self.stage.name).outs or {})

    def left_aside(self) -> list[str]:
        return [
            name for place in ("intents", "aside") for name in self.disk.files(f"{STATE}/{place}")
        ]

    def _adopt(self, launch: Launch) -> None:
        Build.adopt(self.workspace, self.world.project, launch, logged=lambda folder: {}).run()

    def _between(self, live: Live) -> None:
        self._steps += 1
        self.while_it_runs.pop(self._steps, lambda: None)()
