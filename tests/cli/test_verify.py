"""`mlbench verify`, as users call it: real stages, built again in a real snapshot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench.project.layout import Layout
from mlbench.system.locks import is_held
from tests.support import SmallProject, commit_all, until

CONFIG = """\
[project]
name = "checked"
python = "{python}"

[stages.prepare]
cmd = "python -S -E prepare.py"
deps = ["data.txt"]
outs = ["build/clean.txt"]

[stages.train]
cmd = "python -S -E train.py"
deps = ["build/clean.txt"]
params = ["train.rate"]
outs = ["build/model.json"]
metrics = ["build/metrics.json"]
{more}
"""
PREPARE = """\
rows = open("data.txt").read().lower()
open("build/clean.txt", "w").write(rows)
"""
TRAIN = """\
import json, os, pathlib
rows = open("build/clean.txt").read()
noise = float(pathlib.Path(os.environ["NOISE"]).read_text()) if "NOISE" in os.environ else 0
json.dump({"weights": [1.0, 2.0 + noise]}, open("build/model.json", "w"))
json.dump({"score": 0.5 + noise}, open("build/metrics.json", "w"))
"""


def configure(project: SmallProject, more: str = "") -> None:
    project.write("mlbench.toml", CONFIG.format(python=sys.executable, more=more))


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path / "project")
    configure(project)
    project.write("data.txt", "SOME\nROWS\n")
    project.write("params.toml", "[train]\nrate = 0.5\n")
    project.write("prepare.py", PREPARE)
    project.write("train.py", TRAIN)
    project.write(".gitignore", "build/\n")
    commit_all(project.root)
    return project


@pytest.fixture
def built(project: SmallProject) -> SmallProject:
    done = project.cli("run")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An input that no stage declares, and that its Python does not trace."""
    path = tmp_path / "noise.txt"
    path.write_text("0")
    monkeypatch.setenv("NOISE", str(path))
    return path


def checks_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document = json.loads(done.stdout)
    assert document["passed"] is (done.returncode == 0)
    return {check["name"]: check for check in document["stages"]}


def state_of(project: SmallProject) -> dict[str, tuple[int, bytes]]:
    """All that a verify must not touch: the project, its record, traces, cache and events."""
    left_out = (".mlbench/snapshots/", ".mlbench/state/stat.json", ".git/")
    state = {}
    for path in sorted(project.root.rglob("*")):
        name = path.relative_to(project.root).as_posix()
        if path.is_file() and not name.startswith(left_out):
            state[name] = (path.stat().st_mtime_ns, path.read_bytes())
    return state


def test_what_gives_the_same_again_passes_with_a_line_a_stage(built: SmallProject) -> None:
    before = state_of(built)
    done = built.cli("verify")
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip().split("  ")[:2] for line in done.stdout.splitlines()]
    assert lines == [["✓ prepare", "same bytes"], ["✓ train", "same bytes"]]
    assert state_of(built) == before
    checks = checks_of(built.cli("verify", "train", "--json"))
    assert set(checks) == {"train"}
    assert checks["train"]["verdict"] == "same bytes"
    assert checks["train"]["kept"] is None


def test_what_differs_is_said_with_file_and_place(built: SmallProject, noise: Path) -> None:
    noise.write_text("0.25")
    before = state_of(built)
    done = built.cli("verify")
    assert done.returncode == 1
    assert "build/model.json  weights[1]: 2.0 recorded, 2.25 built again" in done.stdout
    assert "build/metrics.json  score: 0.5 recorded, 0.75 built again" in done.stdout
    assert state_of(built) == before
    train = checks_of(built.cli("verify", "train", "--json"))["train"]
    assert train["verdict"] == "differs"
    assert train["differences"][0] == {
        "path": "build/model.json",
        "where": "weights[1]",
        "expected": "2.0",
        "found": "2.25",
    }
    kept = json.loads(Path(train["kept"], "outs/build/model.json").read_text())
    assert kept == {"weights": [1.0, 2.25]}


def test_noise_within_the_tolerance_is_the_same_value(built: SmallProject, noise: Path) -> None:
    noise.write_text("1e-8")
    done = built.cli("verify")
    assert done.returncode == 0, done.stdout
    assert "✓ train  same values" in done.stdout
    assert built.cli("verify", "--tolerance", "1e-10").returncode == 1
    noise.write_text("0.25")
    assert built.cli("verify", "--tolerance", "0.5").returncode == 0


def test_a_stage_that_is_not_deterministic_is_held_to_its_metrics(
    project: SmallProject, noise: Path
) -> None:
    configure(project, "deterministic = false")
    assert project.cli("run").returncode == 0
    noise.write_text("0.01")
    done = project.cli("verify", "train")
    assert done.returncode == 0, done.stdout
    assert "✓ train  same metrics" in done.stdout
    assert "score  0.5 recorded, 0.51" in done.stdout
    train = checks_of(project.cli("verify", "--json", "--metrics-tolerance", "0.01"))["train"]
    assert train["verdict"] == "differs"
    assert train["differences"] == [
        {"path": "metrics", "where": "score", "expected": "0.5", "found": "0.51"}
    ]


def test_a_stage_that_is_not_fresh_is_refused(built: SmallProject) -> None:
    built.write("params.toml", "[train]\nrate = 0.6\n")
    done = built.cli("verify")
    assert done.returncode == 2
    assert "train is stale" in done.stderr
    assert "`mlbench run train` first" in done.stderr
    assert built.cli("verify", "prepare").returncode == 0
    built.write("data.txt", "other")
    done = built.cli("verify", "prepare", "train")
    assert done.returncode == 2
    assert "`mlbench run prepare train` first" in done.stderr


def test_a_stage_that_is_not_there_is_refused_with_the_nearest(built: SmallProject) -> None:
    done = built.cli("verify", "trian")
    assert done.returncode == 2
    assert 'there is no stage "trian" (did you mean "train"?)' in done.stderr


@pytest.mark.parametrize("word", ["much", "-1", "nan"])
def test_a_tolerance_that_is_none_is_refused(built: SmallProject, word: str) -> None:
    done = built.cli("verify", f"--tolerance={word}")
    assert done.returncode == 2
    assert "--tolerance" in done.stderr


def test_a_stage_that_fails_when_it_is_built_again(built: SmallProject, noise: Path) -> None:
    noise.unlink()
    before = state_of(built)
    done = built.cli("verify")
    assert done.returncode == 1
    assert "✓ prepare  same bytes" in done.stdout
    assert "✗ train  failed" in done.stdout
    assert "FileNotFoundError" in done.stdout
    log = Path(checks_of(built.cli("verify", "--json"))["train"]["kept"], "log")
    assert "FileNotFoundError" in log.read_text()
    assert state_of(built) == before


def test_a_dep_beside_the_project_is_refused(built: SmallProject, tmp_path: Path) -> None:
    (tmp_path / "beside.txt").write_text("x")
    for dep, status in (("../beside.txt", 2), (str(tmp_path / "beside.txt"), 0)):
        text = CONFIG.format(python=sys.executable, more="")
        built.write("mlbench.toml", text.replace('"data.txt"', f'"data.txt", "{dep}"'))
        assert built.cli("run").returncode == 0
        done = built.cli("verify", "prepare")
        assert done.returncode == status, done.stderr
        assert ("../beside.txt" in done.stderr) == (status == 2)


def test_inputs_that_nobody_declared_but_were_seen_to_be_read_are_there(
    project: SmallProject,
) -> None:
    project.write("build/extra/more.txt", "ignored by git")
    project.write(
        "mlbench.toml",
        f'[project]\npython = "{sys.executable}"\n'
        '[stages.reader]\ncmd = "python reader.py"\nouts = ["build/read.txt"]\n',
    )
    project.write(
        "reader.py",
        "import os\n"
        "text = open('build/extra/more.txt').read() + str(sorted(os.listdir('build/extra')))\n"
        "open('build/read.txt', 'w').write(text)\n",
    )
    assert project.cli("run").returncode == 0
    done = project.cli("verify")
    assert done.returncode == 0
    # Behind it stands how long it took, where that is worth saying.
    assert done.stdout.rstrip().startswith("✓ reader  same bytes")


def test_stages_that_run_every_time_and_tests_are_checked_too(project: SmallProject) -> None:
    configure(
        project,
        "\n[stages.again]\n"
        "cmd = \"python -S -E -c \\\"open('build/again.txt', 'w').write('x')\\\"\"\n"
        'outs = ["build/again.txt"]\nalways_changed = true\n'
        '\n[stages.tests]\nkind = "test"\ncmd = "python -m pytest -q test_it.py"\n'
        'deps = ["build/again.txt", "test_it.py"]\n',
    )
    project.write("test_it.py", "import os\ndef test_it():\n    assert 'BREAK' not in os.environ\n")
    assert project.cli("run").returncode == 0
    checks = checks_of(project.cli("verify", "--json"))
    assert {check["verdict"] for check in checks.values()} == {"same bytes"}
    assert set(checks) == {"prepare", "train", "again", "tests"}
    tests = checks_of(project.cli("verify", "tests", "--json", BREAK="1"))["tests"]
    assert tests["verdict"] == "failed"
    assert "test_it" in tests["message"]


def test_it_works_beside_a_running_loop_and_does_not_move_it(built: SmallProject) -> None:
    layout = Layout(built.root)
    watch = start(built, "watch", "--json")
    try:
        until(lambda: is_held(layout.loop_lock))
        assert built.cli("verify").returncode == 0
        assert is_held(layout.loop_lock)
    finally:
        watch.send_signal(signal.SIGINT)
        output, _ = watch.communicate(timeout=60)
    assert '"stage_started"' not in output


def start(project: SmallProject, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlbench", *words],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def endless(project: SmallProject, tmp_path: Path) -> Iterator[SmallProject]:
    """A stage that, once it was built, never ends when it is built again."""
    project.write(
        "prepare.py",
        f"""\
        import os, signal
        if os.path.exists({str(tmp_path / "hang")!r}):
            open({str(tmp_path / "pid")!r} + "~", "w").write(str(os.getpid()))
            os.rename({str(tmp_path / "pid")!r} + "~", {str(tmp_path / "pid")!r})
            signal.pause()
        open("build/clean.txt", "w").write("rows")
        """,
    )
    assert project.cli("run").returncode == 0
    (tmp_path / "hang").write_text("")
    yield project
    pid = tmp_path / "pid"
    if pid.exists() and is_alive(int(pid.read_text())):
        os.kill(int(pid.read_text()), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_stops_what_it_started_and_leaves_nothing(
    endless: SmallProject, tmp_path: Path
) -> None:
    before = state_of(endless)
    verify = start(endless, "verify")
    until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    verify.send_signal(signal.SIGINT)
    _, narration = verify.communicate(timeout=60)
    assert verify.returncode == 130, narration
    assert "Traceback" not in narration
    assert not is_alive(pid)
    assert state_of(endless) == before
    slots = list(Layout(endless.root).snapshots.iterdir())
    assert not [slot for slot in slots if is_held(slot / "lock")]
    assert not list(slots[0].glob("tree/.mlbench/state/intents/*"))
    (tmp_path / "hang").unlink()
    assert endless.cli("verify").returncode == 0
    assert len(list(Layout(endless.root).snapshots.iterdir())) == 1


def test_what_a_killed_verify_left_running_is_stopped_by_the_next(
    endless: SmallProject, tmp_path: Path
) -> None:
    verify = start(endless, "verify")
    until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    verify.kill()
    verify.communicate()
    (tmp_path / "hang").unlink()
    assert endless.cli("verify").returncode == 0
    assert not is_alive(pid)
    assert len(list(Layout(endless.root).snapshots.iterdir())) == 1


def test_two_at_once_have_a_snapshot_each(endless: SmallProject, tmp_path: Path) -> None:
    first = start(endless, "verify")
    until((tmp_path / "pid").exists)
    (tmp_path / "hang").unlink()
    assert endless.cli("verify").returncode == 0
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    assert len(list(Layout(endless.root).snapshots.iterdir())) == 2
