"""Scripts that know nothing of mlbench run as stages, and each gives a full run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import python_with
from mlbench.domain.curves import Curve
from mlbench.engine.queries import Queries
from tests.support import SmallProject, commit_all, run_cli

PLAIN_CONFIG = """\
[stages.train]
cmd = "python train.py"
outs = ["build/model.txt"]
metrics = ["build/m.json", "build/m.yaml", "build/m.toml"]
plots = [
  {"build/log.csv" = {x = "epoch", y = ["loss", "accuracy"]}},
  "build/grad.tsv",
  "build/rows.json",
]
"""
PLAIN = """\
import csv, json
from pathlib import Path
with open("build/log.csv", "w") as file:
    table = csv.writer(file)
    table.writerow(["epoch", "loss", "accuracy"])
    for epoch in range(1, 21):
        table.writerow([epoch, 1 / epoch, epoch / 20])
Path("build/grad.tsv").write_text("step\\tgrad\\n0\\t3.5\\n10\\tnan\\n20\\t0.5")
Path("build/rows.json").write_text(json.dumps([{"step": 5, "lr": 0.1}, {"step": 6, "lr": 0.01}]))
Path("build/m.json").write_text(json.dumps({"test": {"accuracy": 0.9}}))
Path("build/m.yaml").write_text("test: {f1: 8e-1}\\n")
Path("build/m.toml").write_text("[test]\\nauc = 0.7\\n")
Path("build/model.txt").write_text("model")
"""
LIVE = """\
from dvclive import Live
with Live() as live:
    live.log_params({"lr": 0.1, "net": {"layers": 3}})
    for step in range(5):
        live.log_metric("train/loss", 1 / (step + 1))
        live.log_metric("accuracy", step / 5)
        live.next_step()
    live.log_metric("test_accuracy", 0.9, plot=False)
"""
DVC_PROJECT = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    outs:
    - dvclive
"""


def last_run(folder: Path) -> dict[str, Any]:
    shown = run_cli(folder, "show", "@last", "--json")
    assert shown.returncode == 0, shown.stderr
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def curves_of(folder: Path) -> dict[str, Curve]:
    queries = Queries.of(folder)
    run = queries.run("@last")
    curves = queries.curves(queries.stage_folder(run, "train")).curves(11)
    return {curve.name: curve for curve in curves}


def test_a_script_without_any_import_gives_metrics_and_curves(tmp_path: Path) -> None:
    project = SmallProject(tmp_path / "plain")
    project.write("mlbench.toml", PLAIN_CONFIG)
    project.write("train.py", PLAIN)
    done = project.cli("run", "--json")
    assert done.returncode == 0, done.stderr
    run = last_run(project.root)
    numbers = {"test.accuracy": 0.9, "test.f1": 0.8, "test.auc": 0.7}
    assert run["metrics"] == {"loss": 0.05, "accuracy": 1.0, "grad": 0.5, "lr": 0.01, **numbers}
    assert run["extremes"]["loss"] == {"min": 0.05, "min_step": 20, "max": 1.0, "max_step": 1}
    curves = curves_of(project.root)
    assert list(curves) == ["loss", "accuracy", "grad", "lr"]
    assert (curves["accuracy"].first_step, curves["accuracy"].last_step) == (1, 20)
    # A table that is only partly right doesn't cost the stage: the log says what is wrong.
    project.write("mlbench.toml", PLAIN_CONFIG.replace('"epoch"', '"epcoh"'))
    project.write("train.py", f"{PLAIN}\n1 + 1\n")
    assert project.cli("run").returncode == 0
    logs = project.cli("logs", "@last", "train").stdout
    assert 'mlbench: plots: build/log.csv: has no column "epcoh" (did you mean "epoch"?)' in logs
    assert project.cli("run", "--json").stdout.count('"unchanged"') == 2


@pytest.mark.parametrize("config", ["mlbench.toml", "dvc.yaml"])
def test_an_unmodified_dvclive_script_gives_a_full_run(tmp_path: Path, config: str) -> None:
    project = SmallProject(tmp_path / "live")
    python = python_with("dvclive")
    project.write("train.py", LIVE)
    project.write("mlbench.toml", f'[project]\npython = "{python}"\n')
    if config == "dvc.yaml":
        project.write("dvc.yaml", DVC_PROJECT)
    else:
        project.write("mlbench.local.toml", '[stages.train]\ncmd = "python train.py"\n')
    commit_all(project.root)
    environment = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    done = project.cli("run", "--json", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    run = last_run(project.root)
    numbers = {"train.loss": 0.2, "accuracy": 0.8, "test_accuracy": 0.9, "step": 4.0}
    assert run["metrics"] == numbers
    assert run["params"] == {"lr": 0.1, "net.layers": 3}
    assert run["extremes"]["train.loss"] == {"min": 0.2, "min_step": 4, "max": 1.0, "max_step": 0}
    curves = curves_of(project.root)
    assert list(curves) == ["accuracy", "train.loss"]
    assert [column[0] for column in curves["accuracy"].columns if column] == [0, 0.2, 0.4, 0.6, 0.8]
    # What DVCLive adds to dvc.yaml is understood, and makes nothing stale.
    assert "dvclive/metrics.json" in project.read("dvc.yaml")
    again = project.cli("run", "--json", **environment)
    assert again.returncode == 0, again.stderr
    assert '"outcome": "unchanged"' in again.stdout
