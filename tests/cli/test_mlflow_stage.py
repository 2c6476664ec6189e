"""MLflow on the command line: stages whose scripts use it, and runs that come from it."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from tests.support import SmallProject

CONFIG = """\
[stages.train]
cmd = "python train.py"
outs = ["model.txt"]
retries = 1
"""
TRAIN = """\
import sys
from pathlib import Path
import mlflow

with mlflow.start_run():
    mlflow.log_param("alpha", 0.5)
    mlflow.set_tag("team", "vision")
    mlflow.log_metric("loss", 0.25, step=3)
    Path("model.txt").write_text("a model")
    mlflow.log_artifact("model.txt")
    if not Path("../once").exists():
        Path("../once").touch()
        sys.exit("the first try fails")
"""
META = "artifact_uri: file:///gone\nstart_time: 1700000000500\nend_time: 1700000002000\nstatus: 3\n"


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow")
def test_an_unchanged_script_gives_a_full_run_that_stands(small: SmallProject) -> None:
    small.write("mlbench.toml", CONFIG)
    small.write("train.py", TRAIN)
    before = {path.name for path in small.root.iterdir()}
    done = small.cli("run", MLFLOW_TRACKING_URI="")
    assert done.returncode == 0, done.stderr
    assert (small.root.parent / "once").exists()
    assert "undeclared" not in done.stderr
    (run,) = json.loads(small.cli("runs", "--json").stdout)
    # The second try's run is the stage's own, as the first one's was.
    assert run["metrics"] == {"loss": 0.25}
    assert run["params"] == {"alpha": 0.5}
    assert run["tags"] == ["team=vision"]
    folder = small.root / ".mlbench/runs" / run["id"] / "stages/train"
    assert (folder / "artifacts/model.txt").read_text() == "a model"
    assert {path.name for path in small.root.iterdir()} - before == {".mlbench", "model.txt"}
    again = small.cli("run", "--json", MLFLOW_TRACKING_URI="")
    assert json.loads(again.stdout.splitlines()[-1])["stages"] == {"train": "unchanged"}


def test_import_brings_runs_in_once_and_says_what_it_left(small: SmallProject) -> None:
    small.write("old/mlruns/1/meta.yaml", "name: digits\n")
    small.write("old/mlruns/1/aa/meta.yaml", META)
    small.write("old/mlruns/1/aa/metrics/loss", "1700000000600 0.5 1\n")
    small.write("old/mlruns/1/bb/meta.yaml", "status: [\n")
    done = small.cli("import", "mlflow", "old")
    assert (done.returncode, done.stdout) == (0, "1 run came in\n"), done.stderr
    assert "left out: " in done.stderr
    assert "bb/meta.yaml:" in done.stderr
    (run,) = json.loads(small.cli("runs", "--json").stdout)
    assert run["metrics"] == {"loss": 0.5}
    assert run["tags"] == ["experiment=digits"]
    again = json.loads(small.cli("import", "mlflow", "old/mlruns", "--json").stdout)
    assert (again["imported"], again["known"], len(again["left_out"])) == (0, 1, 1)


@pytest.mark.parametrize("words", [("mlflow", "nowhere"), ("mlflow", "."), ("other", ".")])
def test_what_cant_be_imported_gets_one_sentence(small: SmallProject, words: list[str]) -> None:
    done = small.cli("import", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("mlbench: ")
    assert len(done.stderr.splitlines()) == 1
