"""An engine that kills itself with SIGKILL at one step of one phase of a build."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlbench.pipeline.running import Running, Start, SupervisedRunner
from mlbench.pipeline.traces import Traces
from mlbench.pipeline.tree import DiskTree, Stat, StrPath
from mlbench.pipeline.workspace import KeyLocks, Workspace
from mlbench.system.content import ContentStore
from mlbench.system.journal import Journal
from mlbench.system.processes import StageExit
from tests.pipeline.lab import Lab

# The parts of the algorithm, in the order in which a build comes to them.
HASH, WRITE_DOWN, SET_ASIDE, LOOK_AGAIN, RUN, JUDGE, KEEP, RECORD, CLEAR, PUT_BACK, RESTORE = (
    "hash",
    "write down",
    "set aside",
    "look again",
    "run",
    "judge",
    "keep",
    "record",
    "clear",
    "put back",
    "restore",
)


class Steps:
    """Counts the steps of each phase, and ends the process at one of them."""

    def __init__(self, phase: str = "", number: int = 0) -> None:
        self.phase = HASH
        self.taken: Counter[str] = Counter()
        self._fatal = (phase, number)

    def enter(self, phase: str) -> None:
        self.phase = phase

    def step(self) -> None:
        self.taken[self.phase] += 1
        if (self.phase, self.taken[self.phase]) == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class KillingTree(DiskTree):
    def __init__(self, steps: Steps, intents: Path, aside: Path) -> None:
        self._steps = steps
        self._intents = intents
        self._aside = aside

    def stat(self, path: StrPath) -> Stat | None:
        self._steps.step()
        return super().stat(path)

    def read(self, path: StrPath) -> bytes:
        self._steps.step()
        return super().read(path)

    def digest(self, path: StrPath) -> str:
        self._steps.step()
        return super().digest(path)

    def files(self, folder: Path, left_out: Callable[[str], bool]) -> Iterator[Path]:
        self._steps.step()
        return super().files(folder, left_out)

    def write(self, path: Path, data: bytes) -> None:
        if path.parent == self._intents:
            self._steps.enter(PUT_BACK if b'"is_lost":true' in data else WRITE_DOWN)
        self._steps.step()
        super().write(path, data)
        self._steps.step()

    def move(self, source: Path, target: Path) -> None:
        if target.is_relative_to(self._aside) and self._steps.phase == WRITE_DOWN:
            self._steps.enter(SET_ASIDE)
        self._steps.step()
        super().move(source, target)
        self._steps.step()

    def make_folder(self, path: Path) -> None:
        if self._steps.phase == SET_ASIDE:
            self._steps.enter(LOOK_AGAIN)
        self._steps.step()
        super().make_folder(path)

    def remove(self, path: Path) -> None:
        if path.parent == self._intents and self._steps.phase == RECORD:
            self._steps.enter(CLEAR)
        self._steps.step()
        super().remove(path)
        self._steps.step()


class KillingStore(ContentStore):
    def __init__(self, steps: Steps, root: Path) -> None:
        super().__init__(root)
        self._steps = steps

    def put(self, path: Path, digest: str, *how: Any) -> None:
        if self._steps.phase == JUDGE:
            self._steps.enter(KEEP)
        self._steps.step()
        super().put(path, digest, *how)
        self._steps.step()

    def restore(self, digest: str, target: Path) -> None:
        self._steps.enter(RESTORE)
        self._steps.step()
        super().restore(digest, target)
        self._steps.step()


class KillingJournal(Journal):
    def __init__(self, steps: Steps, path: Path) -> None:
        super().__init__(path)
        self._steps = steps

    def append(self, value: Any) -> None:
        if self._steps.phase == KEEP:
            self._steps.enter(RECORD)
        self._steps.step()
        super().append(value)
        self._steps.step()


class KillingRunner(SupervisedRunner):
    def __init__(self, steps: Steps, locks: Path) -> None:
        super().__init__(locks)
        self._steps = steps

    def start(self, start: Start) -> Running:
        self._steps.enter(RUN)
        self._steps.step()
        running = super().start(start)
        self._steps.step()
        return _Awaited(self._steps, running)


class _Awaited:
    def __init__(self, steps: Steps, running: Running) -> None:
        self._steps = steps
        self._running = running

    def stop(self) -> None:
        self._running.stop()

    def wait(self) -> StageExit:
        self._steps.step()
        ending = self._running.wait()
        self._steps.step()
        self._steps.enter(JUDGE)
        return ending


def build(root: Path, stage: str, steps: Steps) -> str:
    """Build one stage, step by step; gives its outcome."""
    lab = Lab(root)
    state = lab.layout.state
    lab.workspace = Workspace(
        lab.root,
        state,
        tree=KillingTree(steps, state / "intents", state / "aside"),
        store=KillingStore(steps, lab.layout.cache),
        traces=Traces(KillingJournal(steps, state / "traces.jsonl")),
        versions=lab.workspace.versions,
        runner=KillingRunner(steps, state / "locks"),
        building=KeyLocks(),
    )
    return lab.build(stage).outcome.word


if __name__ == "__main__":
    folder, stage_name, at_phase, at_step = sys.argv[1:]
    print(build(Path(folder), stage_name, Steps(at_phase, int(at_step))))
