"""`mlbench status` as a whole process, where nothing is to be done, beside `dvc status`."""

from __future__ import annotations

import json
import os
import sys
import venv
from pathlib import Path
from statistics import median

from benchmarks.common import (
    ENVIRONMENT,
    FOLDER,
    MLBENCH,
    WORK,
    Command,
    Figure,
    fresh_sample,
    in_turn,
    milliseconds,
    run,
)

ROUNDS = 15
_DVC_ENVIRONMENT = FOLDER / ".venvs" / "dvc"

# The sample's four stages; code that mlbench finds by itself is listed, for DVC does not look.
_DVC_YAML = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [data/digits.csv, prepare.py]
    params: [{params.toml: [seed, prepare]}]
    outs: [build/train.npz, build/test.npz]
  train:
    cmd: python train.py
    deps: [build/train.npz, train.py, model.py]
    params: [{params.toml: [seed, train]}]
    outs: [build/model.joblib]
  evaluate:
    cmd: python evaluate.py
    deps: [build/model.joblib, build/test.npz, evaluate.py, model.py]
    outs: [build/confusion.png]
    metrics: [build/metrics.json]
  tests:
    cmd: python -m pytest -q -p no:cacheprovider tests
    deps: [build/model.joblib, build/test.npz, tests, prepare.py, train.py, model.py]
"""


def measure() -> Figure:
    """Both in turn on equal projects that are up to date, with a bare interpreter as the limit."""
    ours = fresh_sample("status")
    run([MLBENCH, "run"], ours)
    states = {
        stage["state"] for stage in json.loads(run([MLBENCH, "status", "--json"], ours))["stages"]
    }
    assert states == {"fresh"}, states
    dvc, theirs, environment = _dvc_project()
    commands = {
        "bare interpreter": Command([sys.executable, "-c", "pass"], ours, ENVIRONMENT),
        "mlbench status": Command([MLBENCH, "status"], ours, ENVIRONMENT),
        "dvc status": Command([dvc, "status"], theirs, environment),
    }
    times = in_turn(commands, ROUNDS)
    one = median(times["mlbench status"])
    rows = [
        [
            f"`{name}`" if "status" in name else name,
            milliseconds(seconds),
            f"{median(seconds) / one:.2f}",
        ]
        for name, seconds in times.items()
    ]
    version = run([dvc, "--version"], theirs, environment).strip()
    return Figure(
        ["whole process, nothing to do", "median (range)", "by mlbench's"],
        rows,
        f"The sample's four stages after one run, {ROUNDS} rounds in turn, DVC {version}. "
        "The aim is 200 ms.",
    )


def _dvc_project() -> tuple[str, Path, dict[str, str]]:
    """DVC's executable, an equal project that DVC has run, and the environment for both."""
    dvc = _DVC_ENVIRONMENT / "bin" / "dvc"
    if not dvc.exists():
        venv.create(_DVC_ENVIRONMENT, with_pip=True)
        run([str(dvc.with_name("pip")), "install", "--quiet", "dvc"], FOLDER)
    folder = fresh_sample("status-dvc")
    (folder / "dvc.yaml").write_text(_DVC_YAML, encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), ENVIRONMENT.get("PATH", "")])
    environment = {
        **ENVIRONMENT,
        "PATH": path,
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(WORK / "dvc-site-cache"),
    }
    for words in (["init", "--quiet"], ["config", "core.check_update", "false"], ["repro", "-q"]):
        run([str(dvc), *words], folder, environment)
    said = run([str(dvc), "status"], folder, environment)
    assert "up to date" in said, said
    return str(dvc), folder, environment
