"""kill -9 of coordinator, trials, supervisors and faces at any moment: the study ends as it should.

MLBENCH_KILLS says how many: of 20, 50 hit one study, and 10 each phase of a coordinator.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.engine.study_files import StudyFiles
from mlbench.project.layout import Layout
from mlbench.system.proctable import Process, lives
from tests.engine.sweeping.coordinator_killing import BEGIN, PHASES, PREPARE
from tests.engine.sweeping.evidence import coordinators_of, faults, gather
from tests.engine.sweeping.quick_sweep import (
    NAME,
    begun_study,
    coordinate,
    killed_at,
    newest,
    score,
    write_quick,
)
from tests.support import until

_KILLS = int(os.environ.get("MLBENCH_KILLS", "4"))
IN_ONE_STUDY = _KILLS * 5 // 2
IN_EACH_PHASE = max(1, _KILLS // 2)
pytestmark = pytest.mark.long
_FACE, _COORDINATOR, _STAGE, _SUPERVISOR, _ALL = "face", "coordinator", "stage", "supervisor", "all"
_VICTIMS = (_FACE, _COORDINATOR, _COORDINATOR, _STAGE, _SUPERVISOR, _ALL)
_SHORTEST, _LONGEST = 0.05, 0.8
_PATIENCE = 600


class Scene:
    """A study on its way, the face that follows it, and what can be killed of both."""

    def __init__(self, root: Path, log: Path) -> None:
        """Nothing has begun."""
        self.layout = Layout(root)
        self._log = log
        self._face: subprocess.Popen[bytes] | None = None

    @property
    def files(self) -> StudyFiles:
        """Those of its only study."""
        return newest(self.layout.root)

    def follow(self) -> None:
        """Have `mlbench sweep` follow it, as somebody would who finds that it does not."""
        if self._face is not None and self._face.poll() is None:
            return
        with self._log.open("ab") as log:
            words = [sys.executable, "-m", "mlbench", "sweep", NAME]
            self._face = subprocess.Popen(
                words, cwd=self.layout.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_for_face(self) -> int:
        """The exit status of the face that follows it to its end."""
        assert self._face is not None
        return self._face.wait(_PATIENCE)

    def has_begun(self) -> bool:
        """Whether trials run: what they share is built."""
        with contextlib.suppress(IndexError):
            states = {trial.state for trial in self.files.trials().values()}
            return TrialState.RUNNING in states
        return False

    def kill(self, victim: str) -> bool:
        """Whether there was one to kill."""
        if victim == _FACE:
            return self._kill_face()
        if victim == _COORDINATOR:
            return self._kill_coordinator()
        if victim == _ALL:
            killed = [self._kill_coordinator(), self._kill_face()]
            return all([*killed, *map(self._kill_processes, (_STAGE, _SUPERVISOR))])
        return self._kill_processes(victim)

    def close(self) -> None:
        """Leave nothing running, also where a check failed."""
        self._kill_face()
        self._kill_coordinator()

    def _kill_face(self) -> bool:
        if self._face is None or self._face.poll() is not None:
            return False
        self._face.kill()
        self._face.wait()
        return True

    def _kill_coordinator(self) -> bool:
        files = self.files
        pid = files.progress().pid
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        if files.id.encode() not in words:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def _kill_processes(self, which: str) -> bool:
        """Kill a stage's whole group, or its supervisor alone; of one trial."""
        for record in self._records():
            group, supervisor = record.get("group"), record.get("supervisor")
            for what, process in ((_STAGE, group), (_SUPERVISOR, supervisor)):
                if what == which and process is not None and lives(_process(process)):
                    with contextlib.suppress(ProcessLookupError):
                        (os.killpg if what == _STAGE else os.kill)(process[0], signal.SIGKILL)
                        return True
        return False

    def _records(self) -> Iterator[dict[str, Any]]:
        for trial in self.files.trials().values():
            if trial.state is TrialState.RUNNING:
                for run in trial.runs:
                    for path in self.layout.run_folder(run).glob("stages/*/process.json"):
                        with contextlib.suppress(OSError, ValueError):
                            yield json.loads(path.read_text())


def _process(written: Sequence[Any]) -> Process:
    return (written[0], written[1])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    root = (tmp_path / "quick").resolve()
    write_quick(root, tmp_path / "prepared", trials=3 * IN_ONE_STUDY + 16, pause=0.03)
    scene = Scene(root, tmp_path / "faces.log")
    yield scene
    scene.close()


def test_a_study_ends_as_it_should_whoever_is_killed(scene: Scene, tmp_path: Path) -> None:
    dice = random.Random(5)
    scene.follow()
    until(scene.has_begun)
    killed: Counter[str] = Counter()
    deadline = time.monotonic() + _PATIENCE
    while killed.total() < IN_ONE_STUDY:
        assert time.monotonic() < deadline, (killed, scene.files.progress())
        assert not scene.files.progress().is_done, f"it ended behind {killed.total()} kills"
        scene.follow()
        time.sleep(dice.uniform(_SHORTEST, _LONGEST))
        victim = dice.choice(_VICTIMS)
        killed[victim] += scene.kill(victim)
    while not scene.files.progress().is_done:
        assert time.monotonic() < deadline, scene.files.progress()
        scene.follow()
        assert scene.wait_for_face() in (0, 1, -signal.SIGKILL), (
            tmp_path / "faces.log"
        ).read_text()
    until(lambda: not coordinators_of(scene.layout.root))
    found = gather(scene.files, scene.layout.root, tmp_path / "prepared")
    states = Counter(trial.state.word for trial in found.board.values())
    print(f"{killed.total()} kills {dict(killed)}: {dict(states)}")
    assert faults(found, found.study.sweep.trials, score) == []


# What is killed once as if for want of memory; and what fails each time.
_KILLED_ONCE = """\
import os, signal
if train["x"] < 0.3 and not os.path.exists(f"{once}/{{train['x']}}"):
    open(f"{once}/{{train['x']}}", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
if train["x"] > 0.8:
    raise SystemExit("x is too large")
"""
_FEW = 6


def _stopped_study(root: Path, folder: Path) -> StudyFiles:
    """A study of which no coordinator has done anything yet."""
    folder.mkdir()
    (folder / "once").mkdir()
    project = write_quick(root, folder / "prepared", trials=_FEW)
    before, mark, after = project.read("train.py").partition('Path("build/model.json")')
    code = _KILLED_ONCE.format(once=folder / "once")
    project.write("train.py", before + code + mark + after)
    return begun_study(root)


def test_the_coordinator_may_be_killed_at_any_step(tmp_path: Path) -> None:
    dice, report = random.Random(2), tmp_path / "steps.json"
    root = (tmp_path / "walked").resolve()
    walked = _stopped_study(root, tmp_path / "of-walked")
    assert not killed_at(walked, root, "", "", report)
    steps = json.loads(report.read_text())
    assert set(steps) == set(PHASES), steps
    killed: Counter[str] = Counter()
    for phase in PHASES:
        for number in range(IN_EACH_PHASE):
            name = f"{phase}-{number}"
            root, folder = (tmp_path / name).resolve(), tmp_path / f"of-{name}"
            files = _stopped_study(root, folder)
            step = str(dice.randint(1, steps[phase]))
            if phase == PREPARE:
                # There is more to take up behind one that was killed on its way.
                killed_at(files, root, BEGIN, str(dice.randint(1, steps[BEGIN])), report)
            killed[phase] += killed_at(files, root, phase, step, report)
            while not files.progress().is_done:
                assert coordinate(files, root) == 0
            found = gather(files, root, folder / "prepared")
            # Where the first was killed as its study began, what is shared may be built again.
            wrong = faults(replace(found, prepared=1), _FEW, score)
            assert wrong == [], (phase, step, wrong)
            shutil.rmtree(root)
    print(f"{killed.total()} kills of a coordinator, {dict(killed)} of {steps} steps")
    assert all(killed[phase] for phase in PHASES)
