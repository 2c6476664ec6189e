"""Starting a study's coordinator, and giving up before it is followed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping import starting
from mlbench.project.config import load_project
from mlbench.project.layout import Layout

CONFIG = """\
[stages.train]
cmd = "sleep 60"
params = ["size"]
[sweeps.small]
stage = "train"
objective = "maximize score"
[sweeps.small.space]
size = [8, 16]
"""


def test_ctrl_c_while_a_sweep_starts_leaves_no_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlbench.toml").write_text(CONFIG)
    (tmp_path / "params.toml").write_text("size = 8\n")
    layout = Layout(tmp_path)
    project = load_project(layout)
    begun: list[subprocess.Popen[Any]] = []
    start = subprocess.Popen

    def interrupted(_: StudyFiles) -> None:
        raise KeyboardInterrupt

    def started(*words: Any, **options: Any) -> subprocess.Popen[Any]:
        begun.append(start(*words, **options))
        return begun[-1]

    monkeypatch.setattr(StudyFiles, "progress", interrupted)
    monkeypatch.setattr(StudyFiles, "is_running", False)
    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(KeyboardInterrupt):
        starting.begin(layout, project, project.sweeps[0])
    try:
        assert begun[-1].wait(15) in (-signal.SIGTERM, 0)
    finally:
        begun[-1].kill()
