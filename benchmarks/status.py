"""`mlbench status` as a whole process, where nothing is to be done, beside `dvc status`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from benchmarks import peers
from benchmarks.common import (
    ENVIRONMENT,
    MLBENCH,
    Command,
    Figure,
    fresh_sample,
    in_turn,
    milliseconds,
    run,
)

ROUNDS = 15

# The sample's four stages; code that mlbench finds by itself is listed, for DVC does not look.
_DVC_YAML = f"""\
{peers.SAMPLE_AS_DVC_YAML}  tests:
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
    dvc, theirs = peers.dvc(), _dvc_project()
    commands = {
        "bare interpreter": Command([sys.executable, "-c", "pass"], ours, ENVIRONMENT),
        "mlbench status": Command([MLBENCH, "status"], ours, ENVIRONMENT),
        "dvc status": Command([dvc, "status"], theirs, peers.DVC_ENVIRONMENT),
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
    return Figure(
        ["whole process, nothing to do", "median (range)", "by mlbench's"],
        rows,
        f"The sample's four stages after one run, {ROUNDS} rounds in turn, "
        f"DVC {peers.version(dvc, theirs)}. The aim is 200 ms.",
    )


def _dvc_project() -> Path:
    """A project equal to the sample, which DVC has run."""
    folder = fresh_sample("status-dvc")
    (folder / "dvc.yaml").write_text(_DVC_YAML, encoding="utf-8")
    peers.start_dvc(folder)
    run([peers.dvc(), "repro", "-q"], folder, peers.DVC_ENVIRONMENT)
    said = run([peers.dvc(), "status"], folder, peers.DVC_ENVIRONMENT)
    assert "up to date" in said, said
    return folder
