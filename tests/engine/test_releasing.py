"""Promotion and rollback with real servers: staged, asked, in the ledger, live, the world told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.domain.commands import Promote, Rollback
from mlbench.domain.events import CommandDone, Notice, Promoted
from mlbench.engine.hands.outside import failure_words, tell_outside, told_before
from mlbench.project.layout import Layout
from mlbench.release.folders import ANSWERS_NAME, MODEL_NAME
from mlbench.release.skew import GATE
from tests.engine.released_project import MODEL, Released
from tests.support import Follower, SmallProject, ask, commit_all, free_ports, until

VALUES = {
    "path": "/a b/$(touch evil)/model.onnx",
    "version": "3",
    "model": "digits",
    "environment": "production",
    "run": "run-3",
    "digest": "d" * 64,
}


@pytest.fixture
def released(tiny: SmallProject) -> Released:
    return Released(tiny)


def with_key(project: SmallProject, environment: str, line: str) -> None:
    """Put a key into an environment's table."""
    config = project.read("mlbench.toml")
    head = f"[environments.{environment}]\n"
    project.write("mlbench.toml", config.replace(head, f"{head}{line}\n"))
    commit_all(project.root, line)


def promote(follower: Follower, which: str, **how: Any) -> CommandDone:
    return follower.carry_out(Promote("staging", MODEL, which, **how))


def swapped_answers(folder: Path) -> None:
    """As if the training code's own predict said something else: the classes in another order."""
    path = folder / ANSWERS_NAME
    with np.load(path, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}
    for name in ("scores", "scores_raw"):
        if name in arrays:
            arrays[name] = arrays[name][:, ::-1]
    np.savez(path, **arrays)


def test_a_version_is_staged_and_asked_before_it_is_live(
    released: Released, follow: Callable[[Path], Follower]
) -> None:
    follower = follow(released.project.root)
    done = promote(follower, released.candidate())
    assert done.exit_status == 0, done.message
    told = [event for event in follower.events if isinstance(event, (Notice, Promoted))]
    assert isinstance(told[0], Notice)
    assert told[0].message.startswith("flowers v1 is staged in staging")
    assert isinstance(told[-1], Promoted)
    (entry,) = released.entries()
    served = entry.gates[-1]
    assert (served.gate, served.passed, served.threshold) == (GATE, True, 1e-3)
    assert served.why == "75 held-out rows over HTTP"
    assert served.margin == pytest.approx(1e-3 - served.value)
    assert [gate.gate for gate in entry.gates[:-1]] == [
        "accuracy >= 0.8",
        "accuracy >= production.accuracy - 0.01",
        "onnx.max_rel_error <= 1e-4",
    ]
    assert (entry.forced, len(entry.commit)) == (False, 40)
    deployment = released.deployment()
    assert deployment.staged == ()
    assert (deployment.length, deployment.head) == (1, entry.checksum)
    assert released.version_served() == 1


def test_skew_is_refused_and_nothing_of_it_stays(
    released: Released, follow: Callable[[Path], Follower]
) -> None:
    follower = follow(released.project.root)
    assert promote(follower, released.candidate()).exit_status == 0
    skewed = released.candidate(swapped_answers)
    done = promote(follower, skewed)
    assert done.exit_status == 3
    assert f"flowers v2 is not promoted: {GATE} (" in done.message
    assert "row " in done.message
    assert len(released.entries()) == 1
    assert (released.deployment().staged, released.version_served()) == ((), 1)
    port = released.environment().port
    until(lambda: ask(port, f"/v2/models/{MODEL}/versions/2")[0] == 404)
    assert released.releases.behind() is None

    forced = promote(follower, skewed, force=True, reason="the sample is wrong")
    assert forced.exit_status == 0, forced.message
    assert forced.message.endswith(", forced: the sample is wrong")
    entry = released.entries()[-1]
    assert (entry.forced, entry.reason) == (True, "the sample is wrong")
    assert entry.gates[-1].passed is False
    assert GATE in entry.why
    assert released.version_served() == 2


def test_a_version_that_does_not_load_changes_nothing(
    released: Released, follow: Callable[[Path], Follower]
) -> None:
    follower = follow(released.project.root)
    assert promote(follower, released.candidate()).exit_status == 0
    broken = released.candidate(lambda folder: _write(folder / MODEL_NAME, b"no model"))
    done = promote(follower, broken, force=True, reason="let us see")
    assert done.exit_status == 1
    assert done.message.startswith("staging: flowers version 2: can't be loaded: ")
    assert len(released.entries()) == 1
    assert (released.deployment().staged, released.version_served()) == ((), 1)
    assert promote(follower, released.candidate()).exit_status == 0
    assert released.version_served() == 3


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def test_force_overrules_gate_and_rules_and_the_ledger_shows_it(released: Released) -> None:
    project = released.project
    config = project.read("mlbench.toml")
    project.write("mlbench.toml", config.replace("accuracy >= 0.8", "accuracy >= 0.999"))
    which = f"{MODEL}@{released.candidate()}"
    assert project.cli("promote", which, "staging").returncode == 3
    without = project.cli("promote", which, "production", "--force")
    assert without.returncode == 2
    assert "--force needs --reason TEXT, which the ledger keeps" in without.stderr
    assert project.cli("promote", which, "production", "--force", "--reason", " ").returncode == 2
    assert released.entries() == []

    reason = "the old one is down"
    done = project.cli("promote", which, "production", "--force", "--reason", reason)
    assert done.returncode == 0, done.stderr
    (entry,) = released.entries()
    assert (entry.forced, entry.reason, entry.environment) == (True, reason, "production")
    assert "accuracy >= 0.999" in entry.why
    assert "has not been in staging" in entry.why
    assert [gate.passed for gate in entry.gates][:2] == [False, None]

    told = project.cli("ledger", FORCE_COLOR="1")
    assert "promote, forced" in told.stdout
    assert "\x1b[31m" in told.stdout
    plain = project.cli("ledger", FORCE_COLOR="", NO_COLOR="1").stdout
    assert reason in plain
    assert "\x1b[31m" not in plain


def test_a_rollback_needs_no_gate_and_keeps_its_reason(
    released: Released, follow: Callable[[Path], Follower]
) -> None:
    follower = follow(released.project.root)
    # What was live goes back whatever its rows would say today.
    for edit in (swapped_answers, None):
        how = {"force": True, "reason": "first"} if edit else {}
        assert promote(follower, released.candidate(edit), **how).exit_status == 0
    follower.forget()
    done = follower.carry_out(Rollback("staging", MODEL, "the new one is slow"))
    assert done.exit_status == 0, done.message
    entry = released.entries()[-1]
    assert (entry.action, entry.version, entry.gates) == ("rollback", 1, ())
    assert (entry.reason, entry.forced) == ("the new one is slow", False)
    assert released.version_served() == 1


def test_what_left_the_configuration_goes_back_and_is_stopped(released: Released) -> None:
    project = released.project
    for _ in range(2):
        which = f"{MODEL}@{released.candidate()}"
        assert project.cli("promote", which, "staging").returncode == 0
    config = project.read("mlbench.toml")
    project.write("mlbench.toml", config.replace(f"[models.{MODEL}]", "[models.petals]"))
    done = project.cli("rollback", "staging", MODEL)
    assert done.returncode == 0, done.stderr
    assert released.version_served() == released.version_by_ledger() == 1
    assert project.cli("rollback", "staging", "flwers").returncode == 2

    renamed = config.replace("environments.staging", "environments.trial")
    project.write("mlbench.toml", renamed.replace('["staging"]', '["trial"]'))
    unknown = project.cli("serve", "--stop", "stagin")
    assert (unknown.returncode, 'no environment "stagin"' in unknown.stderr) == (2, True)
    stopped = project.cli("serve", "--stop")
    assert (stopped.returncode, "staging is stopped" in stopped.stderr) == (0, True)
    assert "staging" not in project.cli("serve", "--stop").stderr


def test_the_world_is_told_and_its_failure_undoes_nothing(released: Released) -> None:
    project = released.project
    project.write(".gitignore", "build/\ntold.txt\nbroken\n")
    with_key(
        project,
        "staging",
        'on_promote = "echo {model} {version} {environment} {path} >> told.txt; echo hello; '
        'test ! -e broken || { echo no route; exit 7; }"',
    )
    assert project.cli("promote", f"{MODEL}@{released.candidate()}", "staging").returncode == 0
    path = released.layout.models / MODEL / "1" / MODEL_NAME
    assert project.read("told.txt") == f"flowers 1 staging {path}\n"
    told = told_before(released.layout, 1)
    assert told is not None
    assert told.succeeded
    log = released.layout.told_outside(1).with_suffix(".log")
    assert log.read_text() == "hello\n"

    project.write("broken", "")
    failed = project.cli("promote", f"{MODEL}@{released.candidate()}", "staging", "--json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["version"] == 2
    assert (
        "but on_promote failed with exit status 7 (no route); its output is in "
        ".mlbench/serving/on_promote/2.log; `mlbench promote flowers@2 staging` runs it once more"
    ) in failed.stderr
    assert released.version_served() == released.version_by_ledger() == 2

    (project.root / "broken").unlink()
    again = project.cli("promote", "flowers@2", "staging")
    assert (again.returncode, "serves flowers v2 already" in again.stderr) == (0, True)
    assert project.cli("promote", "flowers@2", "staging").returncode == 0
    assert [line.split()[1] for line in project.read("told.txt").splitlines()] == ["1", "2", "2"]
    assert project.cli("rollback", "staging").returncode == 0
    assert project.read("told.txt").splitlines()[-1].split()[1] == "1"


def test_nothing_in_a_path_is_evaluated(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    told = tell_outside(layout, "printf '%s|' {path} {version}", VALUES, 4)
    assert told.succeeded
    assert layout.told_outside(4).with_suffix(".log").read_text() == f"{VALUES['path']}|3|"
    assert not (tmp_path / "evil").exists()


def test_a_command_that_hangs_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    command = "sleep 1000 & echo $! > pid; echo waiting; wait"
    told = tell_outside(layout, command, VALUES, 1, timeout=0.3)
    assert told.is_timed_out
    assert not told.succeeded
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not _lives(pid))
    words = failure_words(layout, told, 1)
    assert words == (
        f"on_promote took longer than {told.seconds:.1f} s and was stopped (waiting); "
        "its output is in .mlbench/serving/on_promote/1.log"
    )


def test_who_ends_the_loop_does_not_wait_for_a_command_that_hangs(released: Released) -> None:
    project = released.project
    with_key(project, "staging", 'on_promote = "echo $$ > .git/pid; echo begins; exec sleep 1000"')
    which = f"{MODEL}@{released.candidate()}"
    words = (sys.executable, "-m", "mlbench", "promote", which, "staging")
    process = subprocess.Popen(words, cwd=project.root, stdin=subprocess.DEVNULL)
    pid = project.root / ".git/pid"
    log = released.layout.told_outside(1).with_suffix(".log")
    until(lambda: log.exists() and log.read_text() == "begins\n")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    until(lambda: not _lives(int(pid.read_text())))
    told = told_before(released.layout, 1)
    assert told is not None
    assert (told.is_broken_off, told.is_timed_out, told.succeeded) == (True, False, False)
    assert "was stopped after " in failure_words(released.layout, told, 1)
    assert released.version_served() == released.version_by_ledger() == 1


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_an_unknown_name_is_refused_with_file_and_key(tiny: SmallProject) -> None:
    with_key(tiny, "staging", 'on_promote = "deploy {modle}"')
    refused = tiny.cli("status")
    assert refused.returncode == 2
    assert "mlbench.toml:" in refused.stderr
    assert "environments.staging.on_promote: {modle} is none of {path}" in refused.stderr


RULES = """\
[stages.train]
cmd = "python train.py"
outs = ["build/rules.txt"]
metrics = ["build/metrics.json"]

[models.rules]
stage = "train"
path = "build/rules.txt"
format = "file"
gates = ["accuracy >= 0.5"]

[environments.staging]
port = {port}
on_promote = "cat {{path}} >> told.txt"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[SmallProject]:
    """A project whose model is a file of no framework, with one candidate."""
    project = SmallProject(tmp_path / "rules")
    project.write("mlbench.toml", RULES.format(port=free_ports(1)[0]))
    project.write(
        "train.py",
        """\
        import json
        from pathlib import Path
        Path("build/rules.txt").write_text("if it rains\\n")
        Path("build/metrics.json").write_text(json.dumps({"accuracy": 0.9}))
        """,
    )
    project.write(".gitignore", "build/\ntold.txt\n")
    commit_all(project.root)
    done = project.cli("run")
    assert done.returncode == 0, done.stderr
    yield project
    project.cli("serve", "--stop")


def test_a_file_is_gated_and_promoted_without_a_server(rules: SmallProject) -> None:
    done = rules.cli("promote", "rules", "staging")
    assert (done.returncode, "staging has rules v1" in done.stderr) == (0, True), done.stderr
    (entry,) = json.loads(rules.cli("ledger", "--json").stdout)
    assert (entry["model"], entry["version"]) == ("rules", 1)
    assert [gate["gate"] for gate in entry["gates"]] == ["accuracy >= 0.5"]
    assert rules.read("told.txt") == "if it rains\n"
    layout = Layout(rules.root.resolve())
    assert json.loads(layout.deployment("staging").read_text())["models"] == []
    assert not layout.server_state("staging").exists()
    assert rules.cli("ledger", "--verify").returncode == 0
    (live,) = json.loads(rules.cli("ledger", "--at", "0s", "--json").stdout)
    assert live["model"] == "rules"


def test_a_lost_ledger_is_told_and_nothing_is_promoted(rules: SmallProject) -> None:
    assert rules.cli("promote", "rules", "staging").returncode == 0
    shutil.move(rules.root / ".mlbench/ledger.jsonl", rules.root / "away")
    verified = rules.cli("ledger", "--verify")
    assert verified.returncode == 1
    assert "the whole ledger is missing: .mlbench/serving/staging.json" in verified.stderr
    refused = rules.cli("promote", "rules@1", "staging")
    assert refused.returncode == 1
    assert "bring .mlbench/ledger.jsonl back from a backup" in refused.stderr
    assert not (rules.root / ".mlbench/ledger.jsonl").exists()
