"""Stopping a run while its model is exported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from mlbench.domain.commands import StopStages
from mlbench.engine.halting import Halt
from mlbench.engine.state import Flight
from tests.support import until

FLIGHT = Flight(
    run="20261123-1",
    name="quiet-otter",
    origin="manual",
    started=1795424102.0,
    order=(),
    reads={},
    needs={},
    stages={},
    jobs=1,
    requests=("ask-1",),
)


@pytest.mark.parametrize(
    ("command", "is_meant"),
    [
        (StopStages(), True),
        (StopStages(run="20261123-1"), True),
        (StopStages(run="ask-1"), True),
        (StopStages(run="another"), False),
        (StopStages(stages=("train",)), False),
    ],
)
def test_who_stops_a_run_stops_its_export(command: StopStages, is_meant: bool) -> None:
    halt = Halt()
    halt.begin(FLIGHT)
    halt.stop(command)
    assert halt.event.is_set() is is_meant

    halt.begin()
    halt.stop(command)
    assert not halt.event.is_set()


def test_after_the_end_nothing_begins_anew() -> None:
    halt = Halt()
    halt.end()
    halt.begin(FLIGHT)
    assert halt.event.is_set()


CONFIG = """
[project]
python = "{python}"
[stages.copy]
cmd = "cp source model.joblib"
deps = ["source"]
outs = ["model.joblib"]
[models.iris]
stage = "copy"
path = "model.joblib"
sample = "rows.npz"
exporter = "own:hang"
"""
HANGS = """
import time

def hang(path, sample):
    print("hangs", flush=True)
    time.sleep(600)
"""


def test_an_interrupted_run_stops_its_export(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(X, y), tmp_path / "source")
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    (tmp_path / "own.py").write_text(HANGS)
    (tmp_path / "mlbench.toml").write_text(CONFIG.format(python=sys.executable))
    run = subprocess.Popen(
        [sys.executable, "-m", "mlbench", "run"],
        cwd=tmp_path,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    logs = (tmp_path / ".mlbench").glob
    until(lambda: any("hangs" in log.read_text() for log in logs("runs/*/export.log")))
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "models.iris: the export gave no report: it was stopped" in said
    assert list(logs("models/iris/.export-*")) == []
