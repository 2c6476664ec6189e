"""`mlbench lock` and `run --locked`: what is written, what is refused, and what is held to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.project.lockfile import read_lock
from tests.support import Follower, SmallProject, until


@pytest.fixture
def built(small: SmallProject) -> SmallProject:
    done = small.cli("run")
    assert done.returncode == 0, done.stderr
    return small


@pytest.fixture
def locked(built: SmallProject) -> SmallProject:
    done = built.cli("lock")
    assert done.returncode == 0, done.stderr
    return built


def lock_of(project: SmallProject) -> dict[str, dict[str, object]]:
    return {
        name: {"inputs": stage.inputs, "outs": stage.outs, "metrics": stage.metrics}
        for name, stage in read_lock(project.root / "mlbench.lock").items()
    }


def test_it_names_every_input_out_and_metric(locked: SmallProject) -> None:
    lock = read_lock(locked.root / "mlbench.lock")
    assert list(lock) == ["prepare", "report", "train"]
    train = lock["train"]
    assert train.inputs["param:train.rate"] == "0.5"
    assert train.inputs["command:cmd"] == "python train.py"
    assert {"file:build/clean.txt", "code:train.py", "code:rule.py"} <= set(train.inputs)
    assert set(train.outs) == {"build/model.txt", "build/metrics.json"}
    assert train.metrics["score"] == 0.5
    # Nothing of this machine: another one holds to the same lock.
    assert str(locked.root) not in locked.read("mlbench.lock")
    assert "/bin" not in train.inputs["python:python"]


def test_what_a_stage_was_found_to_read_is_locked_too(small: SmallProject) -> None:
    small.write("extra.csv", "1\n")
    small.write("report.py", small.read("report.py") + 'open("extra.csv").read()\n')
    assert small.cli("run").returncode == 0
    assert small.cli("lock").returncode == 0
    lock = read_lock(small.root / "mlbench.lock")
    assert "file:extra.csv" in lock["report"].found
    assert "file:extra.csv" not in lock["train"].found
    assert small.cli("run", "--locked").returncode == 0
    small.write("extra.csv", "2\n")
    done = small.cli("run", "--locked")
    assert done.returncode == 2
    assert "report: file extra.csv is not what is locked" in done.stderr


def test_it_is_the_same_text_whenever_it_is_written(locked: SmallProject) -> None:
    before = locked.read("mlbench.lock")
    done = locked.cli("lock", "--json")
    assert json.loads(done.stdout) == {
        "path": str(locked.root / "mlbench.lock"),
        "stages": 3,
        "changed": False,
    }
    assert locked.read("mlbench.lock") == before


def test_it_is_refused_where_a_stage_is_not_fresh(built: SmallProject) -> None:
    built.write("params.toml", "[train]\nrate = 0.25\n")
    done = built.cli("lock")
    assert done.returncode == 2
    assert "not fresh: train; `mlbench run`" in done.stderr
    assert not (built.root / "mlbench.lock").exists()


def test_a_stage_that_runs_every_time_can_be_locked(small: SmallProject) -> None:
    small.write(
        "mlbench.toml",
        small.read("mlbench.toml").replace(
            'outs = ["build/clean.txt"]', 'outs = ["build/clean.txt"]\nalways_changed = true'
        ),
    )
    assert small.cli("run").returncode == 0
    done = small.cli("lock")
    assert done.returncode == 0, done.stderr
    assert small.cli("run", "--locked").returncode == 0


def test_a_frozen_stage_is_held_to_what_it_gave_alone(locked: SmallProject) -> None:
    config = locked.read("mlbench.toml")
    frozen = config.replace('cmd = "python prepare.py"', 'cmd = "python prepare.py"\nfrozen = true')
    locked.write("mlbench.toml", frozen)
    locked.write("data.txt", "other")
    assert locked.cli("run", "--locked").returncode == 0
    locked.write("build/clean.txt", "edited")
    done = locked.cli("run", "--locked")
    assert done.returncode == 1
    assert "build/clean.txt of prepare" in done.stderr


def test_the_loop_never_writes_it(locked: SmallProject) -> None:
    before = locked.read("mlbench.lock")
    locked.write("params.toml", "[train]\nrate = 0.25\n")
    assert locked.cli("run").returncode == 0
    assert locked.read("mlbench.lock") == before


def test_a_fresh_clone_builds_what_is_locked(locked: SmallProject, tmp_path: Path) -> None:
    clone = SmallProject(tmp_path / "clone")
    left_out = shutil.ignore_patterns(".mlbench", "build", "__pycache__")
    shutil.copytree(locked.root, clone.root, ignore=left_out)
    done = clone.cli("run", "--locked")
    assert done.returncode == 0, done.stderr
    assert clone.cli("lock").returncode == 0
    assert lock_of(clone) == lock_of(locked)


def test_another_parameter_is_refused_with_both_values_before_anything_runs(
    locked: SmallProject,
) -> None:
    locked.write("params.toml", "[train]\nrate = 0.25\n")
    done = locked.cli("run", "--locked", "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert (
        "mlbench.lock: train: param train.rate is 0.25, locked is 0.5; bring it back, "
        "or write the lock anew with `mlbench lock`" in done.stderr
    )
    # What does not need it may run.
    assert locked.cli("run", "report", "--locked").returncode == 0


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("data.txt", "other", "prepare: file data.txt is not what is locked"),
        ("rule.py", "def score(rate):\n    return 2 - rate\n", "train: code rule.py is not"),
        ("train.py", "import json, extra\n", "train: code"),
    ],
)
def test_the_first_input_that_differs_is_named(
    locked: SmallProject, file: str, text: str, words: str
) -> None:
    locked.write("extra.py", "")
    locked.write(file, text)
    done = locked.cli("run", "--locked")
    assert done.returncode == 2
    assert words in done.stderr


def test_a_stage_that_the_lock_does_not_have_is_named(locked: SmallProject) -> None:
    config = locked.read("mlbench.toml")
    locked.write("mlbench.toml", config + '\n[stages.more]\ncmd = "true"\ndeps = ["data.txt"]\n')
    done = locked.cli("run", "--locked")
    assert done.returncode == 2
    assert "mlbench.lock: has no stage more; write it anew" in done.stderr
    assert locked.cli("run", "train", "--locked").returncode == 0


def test_a_wrong_name_and_a_missing_lock_are_said(built: SmallProject) -> None:
    done = built.cli("run", "--locked")
    assert done.returncode == 2
    assert "mlbench.lock: there is no such file; `mlbench lock` writes it" in done.stderr
    done = built.cli("run", "trian", "--locked")
    assert 'there is no stage "trian" (did you mean "train"?)' in done.stderr


def test_conflict_marks_are_refused_with_their_line(locked: SmallProject) -> None:
    (locked.root / "mlbench.lock").write_text("version = 1\n<<<<<<< HEAD\n")
    done = locked.cli("run", "--locked")
    assert done.returncode == 2
    assert "mlbench.lock:2: has git's conflict marks; write it anew" in done.stderr
    assert locked.cli("lock").returncode == 0


CHANCY = """\
import time
from pathlib import Path
Path("build/clean.txt").write_text(str(time.time_ns()))
"""


def chancy(project: SmallProject, *, deterministic: bool) -> None:
    """Make prepare give something else each time."""
    project.write("prepare.py", CHANCY)
    config = project.read("mlbench.toml")
    word = str(deterministic).lower()
    project.write(
        "mlbench.toml",
        config.replace(
            'cmd = "python prepare.py"', f'cmd = "python prepare.py"\ndeterministic = {word}'
        ),
    )
    assert project.cli("run").returncode == 0
    assert project.cli("lock").returncode == 0


def test_outs_that_are_not_the_locked_ones_end_with_status_1(small: SmallProject) -> None:
    chancy(small, deterministic=True)
    assert small.cli("run", "--locked").returncode == 0
    done = small.cli("run", "--locked", "--force")
    assert done.returncode == 1
    assert "gave other outs than the locked ones: build/clean.txt of prepare;" in done.stderr


def test_what_is_not_deterministic_is_not_held_nor_what_is_built_from_it(
    small: SmallProject,
) -> None:
    chancy(small, deterministic=False)
    done = small.cli("run", "--locked", "--force")
    assert done.returncode == 0, done.stderr


def test_it_holds_where_another_terminal_has_the_loop(
    locked: SmallProject, follow: Callable[[Path], Follower]
) -> None:
    holder = follow(locked.root)
    until(lambda: holder.session.holds_loop)
    assert locked.cli("run", "--locked").returncode == 0
    locked.write("params.toml", "[train]\nrate = 0.25\n")
    assert locked.cli("run", "--locked").returncode == 2
