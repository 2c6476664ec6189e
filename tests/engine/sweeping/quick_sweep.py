"""A project whose trials take a fraction of a second, and whose objective anybody can recompute."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.sweeps import Study
from mlbench.engine.session import prepare_folder
from mlbench.engine.study_files import StudyFiles, all_studies
from mlbench.engine.sweeping.starting import configured_sweep
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.serving.python_path import variables
from tests.support import REPOSITORY, SmallProject, commit_all

NAME = "quick"
CONFIG = """\
[project]
name = "quick"
jobs = 2

[stages.prepare]
cmd = "python -E prepare.py"
deps = ["rows.txt"]
outs = ["build/rows.txt"]

[stages.train]
cmd = "python train.py"
deps = ["build/rows.txt"]
params = ["train"]
outs = ["build/model.json"]

[stages.evaluate]
cmd = "python -E evaluate.py"
deps = ["build/model.json"]
outs = []
metrics = ["build/metrics.json"]
"""
SWEEP = """
[sweeps.quick]
stage = "evaluate"
objective = "maximize score"
trials = {trials}
jobs = 2
sampler = {{ name = "RandomSampler", seed = 3 }}
{more}
[sweeps.quick.space]
"train.x" = {{ low = 0.0, high = 1.0 }}
"train.size" = {{ low = 1, high = 9 }}
"""
# The count lies outside of the project: its snapshots would each have one of their own.
PREPARE = """\
import os
os.makedirs("build", exist_ok=True)
rows = open("rows.txt").read()
open("build/rows.txt", "w").write(rows)
with open({count!r}, "a") as count:
    count.write("once\\n")
"""
TRAIN = """\
import json, time, tomllib
from pathlib import Path
import mlbench

train = tomllib.loads(Path("params.toml").read_text())["train"]
rows = Path("build/rows.txt").read_text().split()
for step in range(10):
    mlbench.log(loss=train["x"] / (step + 1), step=step)
    time.sleep(train["pause"])
Path("build/model.json").write_text(json.dumps([train["x"], train["size"], len(rows)]))
"""
EVALUATE = """\
import json
x, size, rows = json.load(open("build/model.json"))
score = rows - (x - 0.3) ** 2 + size / 100
json.dump({"score": score}, open("build/metrics.json", "w"))
"""
ROWS = "three small rows\n"


def score(params: Mapping[str, Any]) -> tuple[float, ...]:
    """What a trial with these parameters comes to."""
    x, size, rows = params["train.x"], params["train.size"], len(ROWS.split())
    return (rows - (x - 0.3) ** 2 + size / 100,)


def write_quick(
    root: Path, count: Path, *, trials: int, pause: float = 0.0, more: str = ""
) -> SmallProject:
    """The project, committed; `pause` seconds go by at each of a trial's ten steps.

    `count` gets a line for each time that its first stage runs, which no trial touches.
    """
    project = SmallProject(root)
    project.write("mlbench.toml", CONFIG + SWEEP.format(trials=trials, more=more))
    project.write("params.toml", f"[train]\nx = 0.5\nsize = 1\npause = {pause}\n")
    project.write("rows.txt", ROWS)
    project.write("prepare.py", PREPARE.format(count=str(count)))
    project.write("train.py", TRAIN)
    project.write("evaluate.py", EVALUATE)
    project.write(".gitignore", "build/\n")
    commit_all(root)
    return project


def begun_study(root: Path) -> StudyFiles:
    """A study of which no coordinator has done anything yet."""
    layout = Layout(root)
    prepare_folder(layout)
    sweep = configured_sweep(load_project(layout), NAME)
    files = StudyFiles(layout, "20260101-000000-00000000")
    files.write_study(Study(files.id, sweep, "2026-01-01T00:00:00.000Z"))
    return files


def coordinator(files: StudyFiles, root: Path) -> subprocess.Popen[bytes]:
    """A coordinator at work on a study."""
    command = [sys.executable, "-m", "mlbench.engine.sweeping", str(root), files.id]
    return subprocess.Popen(command, cwd=REPOSITORY, env=variables())


def coordinate(files: StudyFiles, root: Path, *under: str) -> int:
    """Have a coordinator go on with a study, or another module than its own; its exit status."""
    module = under or ("mlbench.engine.sweeping",)
    done = subprocess.run(
        [sys.executable, "-m", module[0], str(root), files.id, *module[1:]],
        cwd=REPOSITORY,
        env=variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def killed_at(files: StudyFiles, root: Path, phase: str, step: str, report: Path) -> bool:
    """Have a coordinator go on that kills itself there; False where it did not come to that."""
    module = "tests.engine.sweeping.coordinator_killing"
    return coordinate(files, root, module, phase, step, str(report)) != 0


def newest(root: Path) -> StudyFiles:
    """The files of the newest study."""
    return all_studies(Layout(root.resolve()))[0]
