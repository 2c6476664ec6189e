"""What scripts may rely on: the shapes of --json, the streams and the exit statuses."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlbench.cli.main import COMMANDS
from tests.support import SmallProject, run_cli

ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_run_json_prints_the_events_of_the_contract(tiny: SmallProject) -> None:
    tiny.write("params.toml", "[train]\nc = 0.5\n")
    done = tiny.cli("run", "--json")
    assert done.returncode == 0, done.stderr
    events = events_of(done.stdout)
    (started,) = [event for event in events if event["event"] == "stage_started"]
    assert started["stage"] == "train"
    assert ISO_UTC.fullmatch(started["at"])
    (ended,) = [event for event in events if event["event"] == "stage_finished"]
    assert (ended["stage"], ended["outcome"]) == ("train", "ran")
    assert ended["seconds"] > 0
    assert ended["reasons"] == [{"kind": "param", "what": "train.c", "detail": "1.0 → 0.5"}]
    last = events[-1]
    assert last["event"] == "run_finished"
    assert last["outcome"] == "passed"
    assert last["stages"] == {"train": "ran"}
    assert last["metrics"]["accuracy"] > 0.8
    assert [gate["gate"] for gate in last["gates"]] == [
        "accuracy >= 0.8",
        "accuracy >= production.accuracy - 0.01",
        "onnx.max_rel_error <= 1e-4",
    ]
    assert [gate["passed"] for gate in last["gates"]] == [True, None, True]
    assert set(last["gates"][0]) >= {
        "gate",
        "model",
        "level",
        "passed",
        "value",
        "threshold",
        "margin",
    }
    assert last["gates"][0]["margin"] == pytest.approx(last["metrics"]["accuracy"] - 0.8)


def test_a_second_run_is_all_unchanged_and_names_the_run_that_stands(tiny: SmallProject) -> None:
    (run,) = json.loads(tiny.cli("runs", "--json").stdout)
    done = tiny.cli("run", "--json")
    assert done.returncode == 0
    last = events_of(done.stdout)[-1]
    assert last["stages"] == {"train": "unchanged"}
    assert last["run"] == run["id"]
    assert not [event for event in events_of(done.stdout) if event["event"] == "stage_started"]


def test_status_json_names_every_stage_with_state_and_reasons(small: SmallProject) -> None:
    def status() -> list[dict[str, Any]]:
        done = small.cli("status", "--json")
        assert done.returncode == 0
        stages: list[dict[str, Any]] = json.loads(done.stdout)["stages"]
        return stages

    assert [(stage["name"], stage["state"]) for stage in status()] == [
        ("prepare", "new"),
        ("train", "new"),
        ("report", "new"),
    ]
    assert small.cli("run").returncode == 0
    assert {stage["state"] for stage in status()} == {"fresh"}
    small.write("data.txt", "other data\n")
    prepare, train, report = status()
    assert prepare["state"] == "stale"
    assert prepare["reasons"] == [{"kind": "file", "what": "data.txt", "detail": "changed"}]
    assert [reason["kind"] for reason in train["reasons"]] == ["upstream"]
    assert report["state"] == "stale"


def test_status_starts_nothing_and_writes_no_record(small: SmallProject) -> None:
    assert small.cli("status").returncode == 0
    assert not (small.root / "build").exists()
    assert not (small.root / ".mlbench" / "experiments.json").exists()


def test_runs_json_has_every_key_of_the_contract(tiny: SmallProject) -> None:
    (run,) = json.loads(tiny.cli("runs", "--json").stdout)
    assert set(run) >= {
        "id", "name", "outcome", "origin", "started", "seconds", "commit", "dirty",
        "params", "metrics", "tags", "note",
    }  # fmt: skip
    assert run["params"] == {"train.c": 1.0}
    assert run["origin"] == "manual"
    assert re.fullmatch(r"[0-9a-f]{40}", run["commit"])
    assert run["dirty"] is False
    assert ISO_UTC.fullmatch(run["started"])


def test_data_goes_to_stdout_and_narration_to_stderr(small: SmallProject) -> None:
    done = small.cli("run")
    assert "▶ train" in done.stderr
    assert "passed" in done.stdout
    assert small.cli("runs", "--json").stderr == ""


def test_dry_run_says_what_would_run_and_runs_nothing(small: SmallProject) -> None:
    done = small.cli("run", "train", "--dry-run", "--json")
    assert done.returncode == 0
    assert [stage["name"] for stage in json.loads(done.stdout)["stages"]] == ["prepare", "train"]
    assert not (small.root / "build").exists()


def test_where_sort_limit_and_csv(small: SmallProject) -> None:
    for rate in (0.5, 0.25, 0.75):
        small.write("params.toml", f"[train]\nrate = {rate}\n")
        assert small.cli("run").returncode == 0
    wanted = json.loads(
        small.cli("runs", "--where", "score >= 0.5", "--sort", "score", "--json").stdout
    )
    assert [run["metrics"]["score"] for run in wanted] == [0.5, 0.75]
    best = json.loads(small.cli("runs", "--sort=-score", "--limit", "1", "--json").stdout)
    assert [run["params"]["train.rate"] for run in best] == [0.25]
    assert small.cli("show", "@best", "--json").stdout.count('"score": 0.75')
    target = small.root / "runs.csv"
    assert small.cli("runs", "--csv", str(target)).returncode == 0
    with target.open() as file:
        assert [row["metrics.score"] for row in csv.DictReader(file)] == ["0.25", "0.75", "0.5"]


def test_logs_prints_what_a_stage_printed(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    done = small.cli("logs", "@last", "train")
    assert done.stdout == "step 0\nstep 1\nstep 2\n"
    small.cli("run", "--force", "report")
    assert small.cli("logs", "@last", "report").returncode == 0


def test_a_run_can_be_asked_to_check_its_gates(tiny: SmallProject) -> None:
    assert tiny.cli("run", "--check").returncode == 0
    tiny.write("mlbench.toml", tiny.read("mlbench.toml").replace(">= 0.8", ">= 0.999"))
    done = tiny.cli("run", "--check")
    assert done.returncode == 3
    assert "gate accuracy >= 0.999 of flowers failed: missed by 0.0" in done.stderr
    assert tiny.cli("run").returncode == 0


def test_commands_work_from_a_folder_inside_and_from_elsewhere(
    small: SmallProject, tmp_path: Path
) -> None:
    (small.root / "deep" / "er").mkdir(parents=True)
    assert run_cli(small.root / "deep" / "er", "status", "--json").returncode == 0
    assert run_cli(tmp_path, "-C", str(small.root), "status", "--json").returncode == 0
    done = run_cli(tmp_path, "-C", "nowhere", "status")
    assert done.returncode == 2
    assert done.stderr == "mlbench: nowhere: there is no such folder\n"


def test_outside_a_project_it_says_what_to_do(tmp_path: Path) -> None:
    done = run_cli(tmp_path, "status")
    assert done.returncode == 2
    assert "there is no mlbench.toml here or above; `mlbench init` writes one" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_is_more_than_its_name(name: str, tmp_path: Path) -> None:
    done = run_cli(tmp_path, name, "--help")
    assert done.returncode == 0
    assert COMMANDS[name][1:] in done.stdout


def test_a_wrong_command_gets_the_nearest_one(tmp_path: Path) -> None:
    done = run_cli(tmp_path, "promte")
    assert done.returncode == 2
    assert done.stderr.startswith('mlbench: there is no command "promte" (did you mean "promote"?)')


def test_without_a_terminal_the_workbench_says_what_to_use(small: SmallProject) -> None:
    done = small.cli()
    assert done.returncode == 2
    assert "the workbench needs a terminal" in done.stderr


def test_a_reader_that_goes_away_causes_no_noise(small: SmallProject) -> None:
    pipe = subprocess.run(
        f"{sys.executable} -m mlbench status --json | true",
        cwd=small.root,
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in pipe.stderr


def test_init_writes_a_configuration_that_works_and_never_over_one(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')\n")
    assert run_cli(tmp_path, "init").returncode == 0
    assert json.loads(run_cli(tmp_path, "status", "--json").stdout)["stages"][0]["name"] == "train"
    before = (tmp_path / "mlbench.toml").read_text()
    again = run_cli(tmp_path, "init")
    assert again.returncode == 2
    assert "mlbench.toml: is there already" in again.stderr
    assert (tmp_path / "mlbench.toml").read_text() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_a_run_stops_it_and_says_so(small: SmallProject, number: int) -> None:
    small.write("train.py", "import time\nprint('begun', flush=True)\ntime.sleep(300)\n")
    command = [sys.executable, "-m", "mlbench", "run"]
    with subprocess.Popen(command, cwd=small.root, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "▶ train" in line:
                process.send_signal(number)
                break
        _, narration = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what was started has been stopped" in narration
    (run,) = json.loads(small.cli("runs", "--json").stdout)
    assert run["outcome"] == "cancelled"


def test_a_filter_by_a_name_that_no_run_has_is_a_slip_not_an_answer(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    done = small.cli("runs", "--where", "scoer > 0")
    assert done.returncode == 2
    assert "--where 'scoer > 0': no run has scoer" in done.stderr
    assert json.loads(small.cli("runs", "--where", "score > 99", "--json").stdout) == []


def test_a_metric_that_is_no_number_is_null_in_json(small: SmallProject) -> None:
    small.write("rule.py", "def score(rate):\n    return float('nan')\n")
    done = small.cli("run", "--json")
    assert done.returncode == 0, done.stderr

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    for line in done.stdout.splitlines():
        json.loads(line, parse_constant=refuse)
    (run,) = json.loads(small.cli("runs", "--json").stdout, parse_constant=refuse)
    assert run["metrics"]["score"] is None


def test_diff_tells_what_differs_between_two_runs(small: SmallProject) -> None:
    for rate in (0.5, 0.25):
        small.write("params.toml", f"[train]\nrate = {rate}\n")
        assert small.cli("run").returncode == 0
    newest, oldest = json.loads(small.cli("runs", "--json").stdout)
    rows = json.loads(small.cli("diff", oldest["name"], "@last", "--json").stdout)["rows"]
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("params", "train.rate"),
        ("metrics", "score"),
        ("stages", "train"),
    ]
    assert rows[0]["values"] == [0.5, 0.25]
    assert rows[1]["change"] == 0.25
    everything = json.loads(
        small.cli("diff", oldest["id"], newest["id"], "--all", "--json").stdout
    )["rows"]
    assert {"loss", "score"} <= {row["name"] for row in everything}
    same = small.cli("diff", newest["id"], newest["id"])
    assert (same.returncode, same.stdout) == (0, "")
    assert "have the same params, metrics, code, data, packages and environment" in same.stderr
