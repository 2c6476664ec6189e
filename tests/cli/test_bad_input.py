"""What bad input gets: one sentence with file, line and key, the right status, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import SmallProject, ask

Damage = Callable[[str], str]


def kept(project: SmallProject) -> dict[str, bytes]:
    """Everything that must never be lost: outs, runs, models, ledger."""
    files: dict[str, bytes] = {}
    for folder in ("build", ".mlbench/runs", ".mlbench/models", ".mlbench/cache"):
        base = project.root / folder
        for path in sorted(base.rglob("*")) if base.exists() else []:
            if path.is_file():
                files[str(path.relative_to(project.root))] = path.read_bytes()
    return files


def assert_nothing_lost(before: dict[str, bytes], project: SmallProject) -> None:
    now = kept(project)
    lost = [name for name, content in before.items() if now.get(name) != content]
    # A failed run may add to the record, and a promotion judges the gates of a candidate anew.
    assert [name for name in lost if not name.endswith("candidate.json")] == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda text: text.replace("[stages.train]", "[stages.train"),
            "mlbench.toml:11: not valid TOML: ",
            id="syntax error",
        ),
        pytest.param(
            lambda text: text.replace('outs = ["build/report.txt"]', 'otus = ["build/report.txt"]'),
            'mlbench.toml:21: stages.report.otus: unknown key (did you mean "outs"?)',
            id="unknown key",
        ),
        pytest.param(
            lambda text: text.replace('deps = ["data.txt"]', 'deps = ["dato.txt"]'),
            'mlbench.toml:8: stages.prepare.deps: "dato.txt" does not exist and no stage makes it '
            '(did you mean "data.txt"?)',
            id="a dep that nobody makes",
        ),
        pytest.param(
            lambda text: text.replace('deps = ["data.txt"]', 'deps = ["build/report.txt"]'),
            "mlbench.toml:8: stages.prepare.deps: stages need each other in a circle: "
            "prepare → report → prepare",
            id="a cycle",
        ),
        pytest.param(
            lambda text: text.replace("train.rate", "train.rat"),
            'params.toml: train.rat: there is no such parameter (did you mean "train.rate"?)',
            id="a missing params key",
        ),
    ],
)
@pytest.mark.parametrize("command", ["status", "run"])
def test_a_wrong_project_file_is_named_with_line_and_key(
    small: SmallProject, damage: Damage, message: str, command: str
) -> None:
    assert small.cli("run").returncode == 0
    before = kept(small)
    good = small.read("mlbench.toml")
    small.write("mlbench.toml", damage(good))
    done = small.cli(command)
    assert done.returncode == 2
    assert f"mlbench: {message}" in done.stderr.replace(
        "report → prepare → report", "prepare → report → prepare"
    )
    assert "Traceback" not in done.stderr
    assert_nothing_lost(before, small)
    small.write("mlbench.toml", good)
    states = {
        stage["state"] for stage in json.loads(small.cli("status", "--json").stdout)["stages"]
    }
    assert states == {"fresh"}


def test_a_command_that_is_not_found_fails_its_stage_and_keeps_its_outs(
    small: SmallProject,
) -> None:
    assert small.cli("run").returncode == 0
    before = kept(small)
    small.write(
        "mlbench.toml", small.read("mlbench.toml").replace("python report.py", "pyhton report.py")
    )
    done = small.cli("run")
    assert done.returncode == 1
    assert "✗ report" in done.stderr
    assert "command not found: pyhton report.py; is it installed, and on the PATH?" in done.stderr
    assert_nothing_lost(before, small)


def test_a_training_script_that_raises_leaves_the_last_model_served(tiny: SmallProject) -> None:
    assert tiny.cli("promote", "flowers", "staging").returncode == 0
    port = json.loads(tiny.cli("doctor", "--json").stdout)[-2]["detail"].rpartition(" ")[2]
    before = kept(tiny)
    request = {
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [5, 3, 1, 0]}]
    }
    answer = ask(int(port), "/v2/models/flowers/infer", request)
    tiny.write("train.py", tiny.read("train.py") + "\nraise RuntimeError('out of luck')\n")
    done = tiny.cli("run")
    assert done.returncode == 1
    assert "python train.py: exit status 1: RuntimeError: out of luck" in done.stderr
    assert_nothing_lost(before, tiny)
    again = ask(int(port), "/v2/models/flowers/infer", request)
    assert (answer[0], again[0]) == (200, 200)
    assert (again[1]["model_version"], again[1]["outputs"]) == (
        answer[1]["model_version"],
        answer[1]["outputs"],
    )


def test_a_model_that_cannot_be_exported_says_why_and_what_would(tiny: SmallProject) -> None:
    before = kept(tiny)
    odd = "class Odd:\n    def predict(self, X):\n        return [0] * len(X)\n"
    tiny.write("odd.py", odd)
    train = tiny.read("train.py").replace("joblib.dump(model,", "joblib.dump(Odd(),")
    tiny.write("train.py", f"from odd import Odd\n{train}")
    done = tiny.cli("run")
    assert done.returncode == 0, done.stderr
    assert "models.flowers: " in done.stderr
    assert "Odd" in done.stderr
    sentence = next(line for line in done.stderr.splitlines() if "models.flowers: " in line)
    assert len(sentence.split("; ")) >= 2, "a remedy follows the reason"
    models = json.loads(tiny.cli("models", "--json").stdout)
    assert len(models) == 1, "the candidate of the run before is still there, and no other"
    saved = {name: data for name, data in before.items() if not name.startswith("build/")}
    assert_nothing_lost(saved, tiny)


def test_a_gate_that_fails_refuses_the_promotion_and_says_by_how_much(tiny: SmallProject) -> None:
    before = kept(tiny)
    tiny.write("mlbench.toml", tiny.read("mlbench.toml").replace(">= 0.8", ">= 0.999"))
    done = tiny.cli("promote", "flowers", "staging")
    assert done.returncode == 3
    assert "flowers of run " in done.stderr
    assert "is not promoted: accuracy >= 0.999 (0.9" in done.stderr
    assert ", missed by 0.0" in done.stderr
    assert not (tiny.root / ".mlbench/ledger.jsonl").exists()
    assert_nothing_lost(before, tiny)


def test_a_port_that_is_taken_is_named_with_the_key_that_changes_it(tiny: SmallProject) -> None:
    before = kept(tiny)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        config = tiny.read("mlbench.toml")
        staging = config.split("[environments.staging]\nport = ")[1].split("\n")[0]
        tiny.write("mlbench.toml", config.replace(f"port = {staging}", f"port = {port}"))
        done = tiny.cli("promote", "flowers", "staging")
    assert done.returncode == 1
    assert f"mlbench.toml: environments.staging.port: port {port} is taken" in done.stderr
    assert "[environments.staging]" in done.stderr
    assert not (tiny.root / ".mlbench/ledger.jsonl").exists()
    assert_nothing_lost(before, tiny)


def test_a_folder_without_git_works_and_says_what_is_missing(small: SmallProject) -> None:
    done = small.cli("run")
    assert done.returncode == 0
    assert "this folder is no git repository, so runs are recorded without commit" in done.stderr
    assert "`git init`" in done.stderr
    (run,) = json.loads(small.cli("runs", "--json").stdout)
    assert run["commit"] is None


def test_a_folder_that_cannot_be_written_is_named(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    shutil.rmtree(small.root / ".mlbench")
    before = kept(small)
    small.root.chmod(0o555)
    try:
        done = without_override(small.root, "run")
        looked = without_override(small.root, "status")
    finally:
        small.root.chmod(0o755)
    assert done.returncode == 2
    assert f"mlbench: {small.root}/.mlbench: can't be written (Permission denied)" in done.stderr
    assert "make the project's folder writable, or work in a copy of it" in done.stderr
    assert looked.returncode == 0, looked.stderr
    assert_nothing_lost(before, small)


def without_override(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line as somebody for whom permissions count, also where the tests run as root."""
    command = [sys.executable, "-m", "mlbench", *words]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("damage", [b"", b'{"runs": {"1": ', b"\x00\xff\x00", b"[1, 2]"])
def test_a_damaged_index_is_moved_aside_and_rebuilt(small: SmallProject, damage: bytes) -> None:
    assert small.cli("run").returncode == 0
    small.write("params.toml", "[train]\nrate = 0.25\n")
    assert small.cli("run").returncode == 0
    assert small.cli("doctor", "--fix").returncode == 0
    whole = json.loads(small.cli("runs", "--json").stdout)
    before = kept(small)
    (small.root / ".mlbench/experiments.json").write_bytes(damage)
    done = small.cli("runs", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == whole
    assert "rebuilt with 2 runs from .mlbench/runs" in done.stderr
    asides = [path.read_bytes() for path in (small.root / ".mlbench").glob("experiments.damaged-*")]
    assert asides == ([damage] if damage else [])
    assert json.loads(small.cli("runs", "--json").stdout) == whole
    assert small.cli("runs").stderr == ""
    assert_nothing_lost(before, small)


def test_a_reader_that_goes_early_is_no_error(small: SmallProject) -> None:
    small.write("mlbench.toml", "".join(f'[stages.s{n}]\ncmd = "true"\n' for n in range(3000)))
    words = [sys.executable, "-m", "mlbench", "-C", str(small.root), "status"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as status:
        assert status.stdout is not None
        status.stdout.readline()
        status.stdout.close()
        assert status.stderr is not None
        assert status.stderr.read() == b""
    assert status.returncode == 0


def test_of_an_index_that_is_all_damage_the_first_places_are_named(small: SmallProject) -> None:
    assert small.cli("run").returncode == 0
    (small.root / ".mlbench/experiments.journal").write_bytes(b"no record\n" * 500)
    done = small.cli("runs")
    assert done.returncode == 0
    said = done.stderr.splitlines()
    assert len(said) <= 6
    assert said[-1].endswith(" more such places")
