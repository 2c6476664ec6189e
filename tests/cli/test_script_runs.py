"""What the commands show of scripts that were started by hand, without any configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.engine.queries import Queries
from tests.support import run_cli

REPOSITORY = Path(__file__).parents[2]
TRAIN = """\
import sys, mlbench
mlbench.log_params(lr=0.5)
mlbench.log(loss=0.25)
print("trained", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def script(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A script that has logged, and lives until it reads a line."""
    (tmp_path / "train.py").write_text(TRAIN)
    with subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_script_is_found_while_it_runs_and_afterwards(
    script: subprocess.Popen[str], tmp_path: Path
) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    (going,) = json.loads(run_cli(deep, "runs", "--json").stdout)
    assert (going["outcome"], going["origin"], going["metrics"]) == (None, "script", {"loss": 0.25})
    live = run_cli(deep, "show", going["id"])
    assert [line.split() for line in live.stdout.splitlines() if "running" in line] == [
        ["…", going["name"], going["id"], "running"],
        ["…", "train", "running", *live.stdout.split("train")[1].split()[1:3]],
    ]
    assert "  loss  0.25" in live.stdout
    assert "  lr  0.5" in live.stdout
    script.communicate("go on\n")
    (ended,) = json.loads(run_cli(deep, "runs", "--json").stdout)
    assert (ended["id"], ended["outcome"]) == (going["id"], "passed")
    assert ended["params"] == {"lr": 0.5}
    shown = run_cli(tmp_path, "show", "@last")
    assert (shown.returncode, "train" in shown.stdout) == (0, True)
    logs = run_cli(tmp_path, "logs", ended["id"], "-f")
    assert (logs.returncode, logs.stdout) == (0, "")
    assert "goes to its terminal alone" in logs.stderr
    status = run_cli(tmp_path, "status")
    assert (status.returncode, "`mlbench init` writes one" in status.stderr) == (2, True)


def test_the_record_is_told_to_have_moved_when_a_script_begins_and_ends(
    script: subprocess.Popen[str], tmp_path: Path
) -> None:
    queries = Queries.of(tmp_path)
    going = queries.record_stamp()
    assert queries.record_stamp() == going
    script.communicate("go on\n")
    ended = queries.record_stamp()
    assert ended != going
    list(queries.runs())
    assert queries.record_stamp() not in (going, ended), "it has been taken into the index"
    assert queries.record_stamp() == queries.record_stamp()


def test_a_script_that_was_killed_failed(script: subprocess.Popen[str], tmp_path: Path) -> None:
    script.kill()
    script.wait()
    (died,) = json.loads(run_cli(tmp_path, "runs", "--all", "--json").stdout)
    assert (died["outcome"], died["metrics"]) == ("failed", {"loss": 0.25})


def test_doctor_looks_after_a_record_without_any_configuration(
    script: subprocess.Popen[str], tmp_path: Path
) -> None:
    script.communicate("\n")
    assert "1 run" in run_cli(tmp_path, "runs", "--csv", os.devnull).stderr
    done = run_cli(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    found = {item["what"]: item for item in json.loads(done.stdout)}
    assert (found["mlbench.toml"]["level"], found["record"]["detail"]) == ("warn", "1 run")
    (tmp_path / ".mlbench/experiments.json").unlink(missing_ok=True)
    (tmp_path / ".mlbench/experiments.journal").unlink(missing_ok=True)
    assert "index rebuilt with 1 run" in run_cli(tmp_path, "doctor", "--fix").stdout
