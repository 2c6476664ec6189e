"""The sample project through the command line: what a newcomer sees first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlbench.project.sample import copy_sample
from tests.support import REPOSITORY, SmallProject, run_cli

SCRIPTS = sorted(
    path.relative_to(REPOSITORY / "sample_project").as_posix()
    for path in (REPOSITORY / "sample_project").rglob("*.py")
    if ".mlbench" not in path.parts and "build" not in path.parts
)


@pytest.fixture(scope="module")
def built_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample with its first run behind it."""
    root = copy_sample(tmp_path_factory.mktemp("sample") / "digits")
    done = run_cli(root, "run", "--json")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def sample(built_sample: Path, tmp_path: Path) -> SmallProject:
    root = tmp_path / "digits"
    shutil.copytree(built_sample, root, symlinks=True)
    return SmallProject(root)


def last_run(project: SmallProject) -> dict[str, Any]:
    done = project.cli("run", "--json")
    assert done.returncode == 0, done.stderr
    event: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert event["event"] == "run_finished"
    return event


def test_a_second_run_is_all_unchanged(sample: SmallProject) -> None:
    assert set(last_run(sample)["stages"].values()) == {"unchanged"}


def test_an_edit_of_train_that_changes_the_model_runs_train_evaluate_and_tests(
    sample: SmallProject,
) -> None:
    train = sample.read("train.py")
    changed = train.replace('seed=params["seed"]', 'seed=params["seed"] + 1')
    assert changed != train
    sample.write("train.py", changed)
    event = last_run(sample)
    assert event["stages"] == {
        "prepare": "unchanged",
        "train": "ran",
        "evaluate": "ran",
        "tests": "ran",
    }
    runs = json.loads(sample.cli("runs", "--json").stdout)
    assert runs[0]["id"] == event["run"]
    assert len(runs) == 2
    assert runs[0]["dirty"] is True


def test_an_edit_that_gives_the_same_model_stops_at_train(sample: SmallProject) -> None:
    train = sample.read("train.py")
    sample.write("train.py", train.replace("float(model", "1.0 * float(model"))
    event = last_run(sample)
    assert event["stages"] == {
        "prepare": "unchanged",
        "train": "ran",
        "evaluate": "unchanged",
        "tests": "ran",
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_edit_of_a_comment_runs_nothing(sample: SmallProject, script: str) -> None:
    sample.write(script, f"# A comment of no consequence.\n\n{sample.read(script)}\n# Another.\n")
    stages = json.loads(sample.cli("status", "--json").stdout)["stages"]
    assert {stage["name"]: stage["state"] for stage in stages} == dict.fromkeys(
        ("prepare", "train", "evaluate", "tests"), "fresh"
    )


def test_the_headless_demo_ends_well_where_git_knows_nobody(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = run_cli(
        tmp_path,
        "demo",
        str(tmp_path / "copy"),
        HOME=str(home),
        XDG_CONFIG_HOME=str(home),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    served = words[words.index("served") + 2]
    original = words[words.index("original") + 2]
    assert served == original
    assert "digits v1 → staging" in done.stdout
    ledger = json.loads(run_cli(tmp_path / "copy", "ledger", "--json").stdout)
    assert [(entry["model"], entry["version"]) for entry in ledger] == [("digits", 1)]
    commits = subprocess.run(
        ["git", "log", "--oneline"], cwd=tmp_path / "copy", capture_output=True, check=True
    )
    assert len(commits.stdout.splitlines()) == 1
    assert not processes_about(tmp_path / "copy")


def processes_about(folder: Path) -> list[str]:
    done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if str(folder) in line]
