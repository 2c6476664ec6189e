"""Promotion, rollback and serving from the command line, with real servers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import SmallProject, commit_all


def test_models_json_gives_a_candidate_without_version_then_a_version(tiny: SmallProject) -> None:
    (candidate,) = json.loads(tiny.cli("models", "--json").stdout)
    assert candidate["version"] is None
    assert candidate["environments"] == []
    assert candidate["parity"]["passed"] is True
    assert candidate["parity"]["max_abs_error"] < 1e-5
    assert Path(candidate["path"]).is_file()
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    (version,) = json.loads(tiny.cli("models", "--json").stdout)
    assert (version["version"], version["environments"]) == (1, ["staging"])
    assert version["digest"] == candidate["digest"]


def test_only_a_run_on_record_gives_a_candidate(tiny: SmallProject) -> None:
    assert tiny.cli("delete", "@last", "--yes").returncode == 0
    told = json.loads(tiny.cli("run", "--json").stdout.splitlines()[-1])
    assert (told["run"], set(told["stages"].values())) == (None, {"unchanged"})
    assert told["gates"], "they are judged all the same"
    assert json.loads(tiny.cli("models", "--json").stdout) == []


def test_serve_runs_servers_in_the_foreground_and_stops_those_it_started(
    tiny: SmallProject,
) -> None:
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    assert "staging is stopped" in tiny.cli("serve", "--stop").stderr
    command = [sys.executable, "-m", "mlbench", "serve", "staging"]
    with subprocess.Popen(
        command, cwd=tiny.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert re.fullmatch(r"staging at http://127.0.0.1:\d+ serves flowers v1\n", first)
        answer = tiny.cli("predict", "staging", "--row", "0")
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert answer.returncode == 0
    assert answer.stdout.strip() in ("0", "1", "2")
    assert [json.loads(line) for line in log.splitlines()]
    assert tiny.cli("predict", "staging").returncode == 2


def test_rollback_goes_back_one_version_and_the_ledger_says_so(tiny: SmallProject) -> None:
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    tiny.write("params.toml", "[train]\nc = 0.5\n")
    assert tiny.cli("run").returncode == 0
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    back = json.loads(tiny.cli("rollback", "staging", "--json").stdout)
    assert (back["action"], back["version"]) == ("rollback", 1)
    entries = json.loads(tiny.cli("ledger", "--json").stdout)
    assert [(entry["action"], entry["version"]) for entry in entries] == [
        ("promote", 1),
        ("promote", 2),
        ("rollback", 1),
    ]
    assert tiny.cli("ledger", "--verify").returncode == 0
    nothing = tiny.cli("rollback", "staging")
    assert nothing.returncode == 2
    assert "there is nothing to roll back to: it has had only version 1" in nothing.stderr
    whole = tiny.cli("ledger", "--verify")
    assert (whole.returncode, whole.stderr) == (0, "the ledger is whole: 3 entries\n")
    ledger = tiny.root / ".mlbench/ledger.jsonl"
    written = ledger.read_text()
    ledger.write_text("".join(written.splitlines(keepends=True)[:2]))
    cut = tiny.cli("ledger", "--verify")
    assert cut.returncode == 1
    assert ".mlbench/ledger.jsonl: entry 3 is missing: .mlbench/serving/staging.json" in cut.stderr
    refused = tiny.cli("promote", "flowers@2", "staging")
    assert (refused.returncode, "entry 3 is missing" in refused.stderr) == (1, True)
    ledger.write_text(written)
    ledger.write_text(ledger.read_text().replace('"version": 2', '"version": 1', 1))
    broken = tiny.cli("ledger", "--verify")
    assert broken.returncode == 1
    assert ".mlbench/ledger.jsonl: entry 2 was altered after it was written" in broken.stderr


def test_production_wants_staging_first_and_committed_code(tiny: SmallProject) -> None:
    early = tiny.cli("promote", "flowers", "production")
    assert early.returncode == 2
    assert "staging serves no flowers yet; `mlbench promote flowers staging` comes first" in (
        early.stderr
    )
    tiny.write("params.toml", "[train]\nc = 0.5\n")
    assert tiny.cli("run").returncode == 0
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    dirty = tiny.cli("promote", "flowers", "production")
    assert dirty.returncode == 3
    assert (
        "from uncommitted code; commit it (nothing has to run again), or say --allow-dirty"
        in dirty.stderr
    )
    commit_all(tiny.root, "a smaller c")
    assert tiny.cli("promote", "flowers", "production").returncode == 0
    live = json.loads(tiny.cli("ledger", "--at", "2999-01-01", "--json").stdout)
    assert {entry["environment"]: entry["version"] for entry in live} == {
        "staging": 1,
        "production": 1,
    }
    assert re.fullmatch("code committed since as [0-9a-f]{12}", live[-1]["why"])


def test_uncommitted_code_goes_to_production_only_when_told(tiny: SmallProject) -> None:
    tiny.write("params.toml", "[train]\nc = 0.5\n")
    assert tiny.cli("run").returncode == 0
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    tiny.write("params.toml", "[train]\nc = 0.25\n")
    commit_all(tiny.root, "another c than the one that ran")
    assert tiny.cli("promote", "flowers", "production").returncode == 3
    assert tiny.cli("promote", "flowers", "production", "--allow-dirty").returncode == 0


@pytest.mark.parametrize("step", ["promote", "rollback"])
def test_an_altered_version_is_refused_before_anything_is_changed(
    tiny: SmallProject, step: str
) -> None:
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    tiny.write("params.toml", "[train]\nc = 0.5\n")
    assert tiny.cli("run").returncode == 0
    live = 1
    if step == "rollback":
        assert tiny.cli("promote", "flowers", "staging").returncode == 0
        live = 2
    models = tiny.root / ".mlbench/models/flowers"
    (candidate,) = (
        (models / "candidates").glob(f"*{newest_run(tiny)}")
        if step == "promote"
        else [models / "1"]
    )
    # The file no longer is what its digest says: no server may load it.
    (candidate / "model.onnx").chmod(0o644)
    with (candidate / "model.onnx").open("ab") as file:
        file.write(b"more")
    before = tiny.cli("ledger", "--json").stdout
    words = ("promote", "flowers", "staging") if step == "promote" else ("rollback", "staging")
    done = tiny.cli(*words)
    assert done.returncode == 1
    assert "altered" in done.stderr
    assert tiny.cli("predict", "staging").stderr.startswith(f"flowers v{live} at ")
    assert tiny.cli("ledger", "--json").stdout == before
    assert tiny.cli("ledger", "--verify").returncode == 0


def newest_run(project: SmallProject) -> str:
    run: str = json.loads(project.cli("runs", "--json").stdout)[0]["id"]
    return run
