"""`mlbench restore` as people and scripts call it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import SmallProject, commit_all


@pytest.fixture
def first(small: SmallProject) -> str:
    """A run that has another after it; gives its id."""
    commit_all(small.root)
    assert small.cli("run").returncode == 0
    run: str = json.loads(small.cli("runs", "--json").stdout)[0]["id"]
    small.write("params.toml", "[train]\nrate = 0.75\n")
    assert small.cli("run").returncode == 0
    return run


def test_what_comes_back_is_said_with_the_way_to_the_code(small: SmallProject, first: str) -> None:
    small.write("rule.py", "def score(rate):\n    return 2 - rate\n")
    planned = small.cli("restore", first, "--dry-run")
    assert "would set train.rate  0.75 → 0.5  (params.toml)" in planned.stdout
    assert small.read("build/model.txt").startswith("model 0.75")
    done = small.cli("restore", first)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "brought back build/model.txt  (train)",
        "brought back build/metrics.json  (train)",
        "set train.rate  0.75 → 0.5  (params.toml)",
    ]
    assert lines[3].startswith("params.toml as it was is kept as .mlbench/cache/")
    assert (small.root / lines[3].split()[-1]).read_text() == "[train]\nrate = 0.75\n"
    assert lines[4:6] == [
        "its code comes back with",
        "  # files here differ from the commit: commit or stash them first",
    ]
    assert lines[6].startswith("  git checkout ")
    assert lines[7:] == ["train is stale here: code rule.py changed (train.py → rule.py)"]
    assert small.read("build/model.txt").startswith("model 0.5")


def test_without_a_terminal_changed_files_are_refused_by_name(
    small: SmallProject, first: str
) -> None:
    small.write("build/model.txt", "mine")
    refused = small.cli("restore", first)
    assert refused.returncode == 2
    assert "build/model.txt was changed since a run gave it" in refused.stderr
    assert small.read("build/model.txt") == "mine"
    assert "0.75" in small.read("params.toml")
    done = small.cli("restore", first, "--force", "--json")
    told = json.loads(done.stdout)
    assert (told["changed"], told["stale"]) == (["build/model.txt"], [])
    assert Path(told["kept"]["build/model.txt"]).read_text() == "mine"
    assert small.read("build/model.txt").startswith("model 0.5")


@pytest.mark.parametrize(("answer", "model"), [("n", "mine"), ("y", "model 0.5")])
def test_on_a_terminal_it_asks(small: SmallProject, first: str, answer: str, model: str) -> None:
    small.write("build/model.txt", "mine")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlbench", "restore", first],
        cwd=small.root,
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
    )
    os.close(theirs)
    asked = b""
    while b"[y/N]" not in asked:
        asked += os.read(ours, 1024)
    assert b"build/model.txt changed since a run gave it" in asked
    os.write(ours, f"{answer}\n".encode())
    process.communicate()
    os.close(ours)
    assert process.returncode == 0
    assert small.read("build/model.txt").startswith(model)


def test_a_worktree_is_made_where_the_call_says(small: SmallProject, first: str) -> None:
    (small.root / "inner").mkdir()
    done = SmallProject(small.root / "inner").cli("restore", first, "--worktree", "../../there")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(" stands in ../../there")
    there = SmallProject(small.root.parent / "there")
    assert there.read("params.toml") == small.read("params.toml").replace("0.75", "0.5")
    again = there.cli("run", "--json")
    assert set(json.loads(again.stdout.splitlines()[-1])["stages"].values()) == {"unchanged"}
    # The one record is seen from there, too.
    assert len(json.loads(there.cli("runs", "--json").stdout)) == 2


def test_bad_calls_are_one_sentence(small: SmallProject, first: str) -> None:
    for words, said in (
        (("nobody",), 'there is no run "nobody"'),
        ((first, "--worktree", "x", "--dry-run"), "exclude each other"),
        ((first, "--worktree", "inside"), "lies inside the project"),
    ):
        done = small.cli("restore", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
