"""Which files a snapshot takes from the project: links, folders, repositories, listings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.domain.errors import UsageError
from mlbench.domain.stages import Stage
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.pipeline.snapshots.wanted import inputs_among
from mlbench.project.layout import Layout
from tests.pipeline.snapshots import FILES, PREPARE, PROJECT, TRAIN, fill, names_in, write
from tests.support import commit_all


@pytest.fixture(params=["git", "no git"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    root = fill(tmp_path / "project")
    if request.param == "git":
        commit_all(root)
    return root


@pytest.fixture
def snapshot(root: Path) -> Iterator[Snapshot]:
    snapshot = Snapshot(Layout(root), "test")
    assert snapshot.try_acquire()
    yield snapshot
    snapshot.release()


def test_links_inside_stay_links_and_others_become_what_they_lead_to(
    tmp_path: Path, root: Path, snapshot: Snapshot
) -> None:
    outside = write(tmp_path, "elsewhere/big.csv", "big").parent
    write(outside, "more/deep.csv", "deep")
    (root / "rules").symlink_to(root / "pkg")
    (root / "pkg/again.py").symlink_to("../train.py")
    (root / "borrowed.csv").symlink_to(outside / "big.csv")
    (root / "borrowed").symlink_to(outside)
    (root / "dangling").symlink_to(outside / "absent")
    snapshot.bring_up_to_date([PREPARE], PROJECT)
    tree = snapshot.tree
    assert os.readlink(tree / "rules") == "pkg"
    assert (tree / "pkg/again.py").resolve() == tree / "train.py"
    assert not (tree / "borrowed.csv").is_symlink()
    assert (tree / "borrowed.csv").read_text() == "big"
    assert not os.path.lexists(tree / "borrowed")
    assert not os.path.lexists(tree / "dangling")

    reader = Stage("reader", ("true",), deps=("borrowed/more", "rules/deep/rule.py"))
    snapshot.bring_up_to_date([reader], PROJECT)
    assert names_in(tree / "borrowed") == {"more/deep.csv"}
    assert not (tree / "borrowed").is_symlink()
    assert os.readlink(tree / "rules") == "pkg"
    write(tree, "borrowed/more/deep.csv", "written to")
    assert (outside / "more/deep.csv").read_text() == "deep"


def test_a_dep_behind_a_link_to_an_ignored_folder_is_there(root: Path, snapshot: Snapshot) -> None:
    (root / "current").symlink_to("data")
    (root / "data/newest.csv").symlink_to("raw.csv")
    (root / "data/round").symlink_to(".")
    stage = Stage("reader", ("true",), deps=("current/newest.csv",))
    snapshot.bring_up_to_date([stage], PROJECT)
    assert (snapshot.tree / "current/newest.csv").read_text() == FILES["data/raw.csv"]
    assert (snapshot.tree / "current/newest.csv").resolve() == snapshot.tree / "data/raw.csv"
    snapshot.bring_up_to_date([Stage("reader", ("true",), deps=("current",))], PROJECT)
    assert names_in(snapshot.tree / "data") == {"raw.csv", "other.csv", "newest.csv", "round"}


def test_a_folder_that_becomes_a_link_is_never_written_through(
    tmp_path: Path, root: Path, snapshot: Snapshot
) -> None:
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    mine = write(tmp_path, "mine/rule.py", "mine")
    (root / "pkg/deep/rule.py").unlink()
    (root / "pkg/deep").rmdir()
    (root / "pkg/deep").symlink_to(mine.parent)
    stage = Stage("reader", ("true",), deps=("pkg/deep/rule.py",))
    snapshot.bring_up_to_date([stage], PROJECT)
    assert not (snapshot.tree / "pkg/deep").is_symlink()
    (snapshot.tree / "pkg/deep/rule.py").write_text("another's")
    assert mine.read_text() == "mine"


def test_an_environment_is_read_in_place(root: Path, snapshot: Snapshot) -> None:
    write(root, "env/pyvenv.cfg", "")
    write(root, "env/lib/module.py", "")
    snapshot.bring_up_to_date([Stage("s", ("true",), deps=("env/lib/module.py",))], PROJECT)
    assert os.readlink(snapshot.tree / "env") == str(root / "env")
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert (root / "env/lib/module.py").exists()


@pytest.mark.parametrize("dep", ["../shared.csv", "data/../../shared.csv", ".."])
def test_a_dep_that_leaves_the_project_is_refused(snapshot: Snapshot, dep: str) -> None:
    with pytest.raises(UsageError, match="outside the project") as refused:
        snapshot.bring_up_to_date([Stage("reader", ("true",), deps=(dep,))], PROJECT)
    assert "reader" in str(refused.value)
    assert dep in str(refused.value)


def test_a_wdir_and_a_dep_folder_are_there_though_empty(root: Path, snapshot: Snapshot) -> None:
    (root / "work").mkdir()
    (root / "inbox").mkdir()
    snapshot.bring_up_to_date([Stage("s", ("true",), wdir="work", deps=("inbox",))], PROJECT)
    assert (snapshot.tree / "work").is_dir()
    assert (snapshot.tree / "inbox").is_dir()


def test_repositories_inside_and_files_put_under_git_by_force_are_there(tmp_path: Path) -> None:
    root = fill(tmp_path / "project")
    commit_all(root)
    subprocess.run(["git", "add", "-f", "scratch.txt"], cwd=root, check=True)
    write(root, "vendored/lib.py", "lib")
    write(root, "vendored/.gitignore", "cached\n")
    write(root, "vendored/cached", "ignored there")
    commit_all(root / "vendored")
    snapshot = Snapshot(Layout(root), "test")
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    held = names_in(snapshot.tree)
    assert {"scratch.txt", "vendored/lib.py", "vendored/.gitignore"} <= held
    assert "vendored/cached" not in held
    assert not any(name.startswith(("vendored/.git/", ".git/")) for name in held)


def test_a_folder_that_was_listed_has_its_names_and_not_what_lies_deeper(
    root: Path, snapshot: Snapshot
) -> None:
    write(root, "data/deep/heavy.bin", "heavy")
    named = inputs_among(
        ["file:data/", "file:build/", "code:scratch.txt", "package:x@y", "param:a"]
    )
    assert named == ["data/", "build/", "scratch.txt"]
    snapshot.bring_up_to_date([TRAIN], PROJECT, named)
    assert set(os.listdir(snapshot.tree / "data")) == {"raw.csv", "other.csv", "deep"}
    assert not os.listdir(snapshot.tree / "data/deep")
    # Its own out is yet to be made.
    assert os.listdir(snapshot.tree / "build") == ["clean.csv"]
    assert (snapshot.tree / "scratch.txt").exists()
