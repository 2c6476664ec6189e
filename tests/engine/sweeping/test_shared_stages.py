"""What all trials share is built once, whatever happens to the coordinator meanwhile."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from mlbench.engine.study_files import StudyFiles
from tests.engine.sweeping.quick_sweep import (
    NAME,
    begun_study,
    coordinator,
    newest,
    write_quick,
)
from tests.support import SmallProject, until

_WAITS = """\
import os, time
from pathlib import Path
Path({pid!r}).write_text(f"{{os.getpid()}}\\n")
while not Path({gate!r}).exists():
    time.sleep(0.01)
"""


class Scene:
    """A sweep whose first stage, which no trial touches, waits for a gate to open."""

    def __init__(self, folder: Path) -> None:
        self.root = (folder / "quick").resolve()
        self.count, self.gate, self._pid = folder / "prepared", folder / "gate", folder / "pid"
        project = write_quick(self.root, self.count, trials=2)
        waits = _WAITS.format(gate=str(self.gate), pid=str(self._pid))
        project.write("prepare.py", project.read("prepare.py") + waits)
        self.files = begun_study(self.root)

    def kill_coordinator(self) -> None:
        """While the first stage runs."""
        with coordinator(self.files, self.root) as first:
            until(lambda: self._pid.exists() and self._pid.read_text().endswith("\n"))
            first.kill()
        assert first.returncode == -signal.SIGKILL

    def kill_stage(self) -> None:
        """With its supervisor, which would tell how it ended."""
        (record,) = self.root.glob(".mlbench/runs/*/stages/prepare/process.json")
        os.kill(json.loads(record.read_text())["supervisor"][0], signal.SIGKILL)
        os.kill(int(self._pid.read_text()), signal.SIGKILL)

    def go_on(self) -> None:
        """To the study's end, with the gate opened once the coordinator is at work."""
        with coordinator(self.files, self.root) as first:
            until(lambda: self.files.progress().pid == first.pid)
            self.gate.touch()
        assert first.returncode == 0


def _states(files: StudyFiles) -> list[str]:
    return [trial.state.word for trial in files.trials().values()]


def test_a_shared_stage_outlives_its_coordinator(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.kill_coordinator()
    scene.go_on()
    assert scene.count.read_text() == "once\n"
    assert _states(scene.files) == ["complete"] * 2


def test_a_shared_stage_whose_process_is_gone_is_built_anew(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.kill_coordinator()
    scene.kill_stage()
    scene.go_on()
    assert scene.count.read_text() == "once\n" * 2
    assert _states(scene.files) == ["complete"] * 2


def test_whoever_sweeps_next_goes_on_with_a_shared_stage_that_still_runs(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.kill_coordinator()
    scene.gate.touch()
    done = SmallProject(scene.root).cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    assert newest(scene.root).id == scene.files.id
    assert scene.count.read_text() == "once\n"
    assert _states(scene.files) == ["complete"] * 2
