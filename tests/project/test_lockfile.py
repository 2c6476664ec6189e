"""The lock as text: what goes in comes out, line by line, and git merges it."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import ProjectFileError
from mlbench.project.lockfile import (
    LockedStage,
    as_text,
    parse,
    read_lock,
    render,
    write_lock,
)

texts = st.text(max_size=20).map(as_text)
tables = st.dictionaries(texts, texts, max_size=4)
stages = st.builds(
    LockedStage,
    inputs=tables,
    found=tables,
    outs=tables,
    metrics=st.dictionaries(texts, st.floats(allow_nan=False), max_size=3),
)
locks = st.dictionaries(texts, stages, max_size=4)
TRAIN = LockedStage(
    {"param:train.rate": "0.5", "file:data set.csv": "ab12"},
    {"file:extra.csv": "cd34"},
    {"build/model.txt": "ef56"},
    {"score": 0.5, "recall": math.nan},
)


@given(lock=locks)
def test_what_is_written_is_read_back(lock: dict[str, LockedStage]) -> None:
    assert parse(render(lock)) == lock


@given(lock=locks)
def test_the_text_does_not_depend_on_any_order(lock: dict[str, LockedStage]) -> None:
    turned = {
        name: LockedStage(
            dict(reversed(list(s.inputs.items()))),
            dict(reversed(list(s.found.items()))),
            dict(reversed(list(s.outs.items()))),
            dict(reversed(list(s.metrics.items()))),
        )
        for name, s in reversed(lock.items())
    }
    assert render(turned) == render(lock)


def test_it_has_one_line_for_each_thing() -> None:
    assert render({"train": TRAIN}).splitlines()[2:] == [
        "version = 1",
        "",
        "[stages.train]",
        "",
        "[stages.train.inputs]",
        '"file:data set.csv" = "ab12"',
        '"param:train.rate" = "0.5"',
        "",
        "[stages.train.found]",
        '"file:extra.csv" = "cd34"',
        "",
        "[stages.train.outs]",
        '"build/model.txt" = "ef56"',
        "",
        "[stages.train.metrics]",
        "recall = nan",
        "score = 0.5",
    ]


def test_a_metric_that_is_no_number_comes_back_as_it_is() -> None:
    metrics = parse(render({"a": LockedStage({}, {}, {}, {"x": math.nan, "y": -math.inf})}))
    assert math.isnan(metrics["a"].metrics["x"])
    assert metrics["a"].metrics["y"] == -math.inf


def test_a_name_that_is_no_utf8_is_written_out(tmp_path: Path) -> None:
    name = "file:d\udcffta"
    write_lock(tmp_path / "mlbench.lock", {"a": LockedStage({as_text(name): "1"})})
    assert read_lock(tmp_path / "mlbench.lock")["a"].inputs == {"file:d\\udcffta": "1"}


def test_a_lock_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlbench.lock"
    assert write_lock(path, {"train": TRAIN})
    before = path.stat()
    assert not write_lock(path, {"train": TRAIN})
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = 1\n[stages", "does not parse"),
        ("", "is of version None, not 1"),
        ("version = 2\n", "is of version 2, not 1"),
        ('version = 1\nstages = "x"\n', "another shape"),
        ("version = 1\n[stages.a.inputs]\nx = 1\n", "another shape"),
        ("version = 1\n[stages.a.metrics]\nx = 'y'\n", "another shape"),
    ],
)
def test_what_is_no_lock_is_refused_with_what_to_do(text: str, words: str) -> None:
    with pytest.raises(ProjectFileError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert "`mlbench lock`" in str(caught.value)
    assert caught.value.exit_status == 2


def test_without_a_lock_it_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectFileError, match="`mlbench lock` writes it"):
        read_lock(tmp_path / "mlbench.lock")
    (tmp_path / "mlbench.lock").write_bytes(b"\xff")
    with pytest.raises(ProjectFileError, match="not UTF-8"):
        read_lock(tmp_path / "mlbench.lock")


def git(root: Path, *words: str) -> int:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    done = subprocess.run(["git", *who, *words], cwd=root, capture_output=True, check=False)
    return done.returncode


def branch(root: Path, name: str, lock: dict[str, LockedStage]) -> None:
    git(root, "checkout", "-q", "-b", name, "base")
    write_lock(root / "mlbench.lock", lock)
    git(root, "commit", "-qam", name)


def test_git_merges_changes_of_different_stages_and_marks_conflicts(tmp_path: Path) -> None:
    names = ("evaluate", "prepare", "train")
    stage = {name: LockedStage({f"file:{name}.csv": "1", "param:x": "1"}) for name in names}
    git(tmp_path, "init", "-q", "-b", "base")
    write_lock(tmp_path / "mlbench.lock", stage)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "base")
    changed = {
        name: {**stage, name: LockedStage({f"file:{name}.csv": "2", "param:x": "1"})}
        for name in names
    }
    branch(tmp_path, "one", changed["prepare"])
    branch(tmp_path, "two", changed["train"])
    assert git(tmp_path, "merge", "-q", "one") == 0
    merged = read_lock(tmp_path / "mlbench.lock")
    assert merged == {
        **stage,
        "prepare": changed["prepare"]["prepare"],
        "train": changed["train"]["train"],
    }
    branch(tmp_path, "three", {**stage, "train": LockedStage({"file:train.csv": "3"})})
    assert git(tmp_path, "merge", "-q", "two") != 0
    with pytest.raises(ProjectFileError) as caught:
        read_lock(tmp_path / "mlbench.lock")
    assert "conflict marks" in str(caught.value)
    text = (tmp_path / "mlbench.lock").read_text().splitlines()
    assert text[(caught.value.line or 0) - 1].startswith("<<<<<<<")
