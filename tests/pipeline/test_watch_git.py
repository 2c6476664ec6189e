"""What a real git does to a work tree is one change; a lock that it left holds nothing."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.pipeline.watching.git import (
    LONGEST_HOLD_SECONDS,
    STALE_QUIET_SECONDS,
    STALE_SECONDS,
    common_folder,
    git_folder,
    is_left_over,
    work_tree,
)
from tests.pipeline.watched import BOUND_SECONDS, Watched

FILES = 2000


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def write_files(root: Path, text: str) -> None:
    for number in range(FILES):
        path = root / f"pkg{number % 20}" / f"m{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def expect_few_calls(watched: Watched, paths: int) -> None:
    """One, unless the machine is so slow that events come long after git is through."""
    told: set[str] = set()
    calls = 0
    while len(told) < paths:
        told |= set(watched.next_call())
        calls += 1
    assert calls <= 4


@contextmanager
def watching(root: Path) -> Iterator[Watched]:
    watched = Watched(root)
    try:
        yield watched
    finally:
        watched.watch.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "train.py").write_text("x = 1\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    return root


@pytest.fixture
def branches(root: Path) -> Path:
    write_files(root, "x = 1\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "many")
    git(root, "checkout", "-qb", "other")
    write_files(root, "y = 22\n")
    git(root, "commit", "-qam", "other")
    return root


def test_a_checkout_of_thousands_of_files_is_one_call(branches: Path) -> None:
    with watching(branches) as watched:
        for branch in ("main", "other"):
            git(branches, "checkout", "-q", branch)
            expect_few_calls(watched, FILES)
        assert watched.so_far() == set()


def test_a_branch_without_the_folders_is_one_call_too(branches: Path) -> None:
    git(branches, "checkout", "-q", "main~1")
    with watching(branches) as watched:
        git(branches, "checkout", "-q", "main")
        expect_few_calls(watched, FILES + 20)
        watched.write_until_told("pkg7/m7.py")


@pytest.mark.parametrize("where", ["", "inner"])
def test_a_change_is_held_while_git_holds_its_index(root: Path, where: str) -> None:
    lock = root / ".git" / "index.lock"
    project = root / where
    project.mkdir(exist_ok=True)
    with watching(project) as watched:
        lock.touch()
        for name in ("train.py", "other.py"):
            (project / name).write_text("x = 2\n")
        assert watched.is_silent_for(0.4)
        lock.unlink()
        assert watched.until("train.py") == [("other.py", "train.py")]


def test_a_worktree_has_its_lock_where_its_git_file_says(root: Path, tmp_path: Path) -> None:
    tree = tmp_path.resolve() / "tree"
    git(root, "worktree", "add", "-q", str(tree))
    assert git_folder(tree) == root / ".git" / "worktrees" / "tree"
    assert common_folder(tree) == root / ".git"
    lock = git_folder(tree) / "index.lock"
    with watching(tree) as watched:
        lock.touch()
        (tree / "train.py").write_text("x = 2\n")
        assert watched.is_silent_for(0.4)
        lock.unlink()
        watched.until("train.py")


def test_a_lock_that_a_killed_git_left_is_waited_for_once_and_said(root: Path) -> None:
    lock = root / ".git" / "index.lock"
    lock.touch()
    yesterday = time.time() - 86_400
    os.utime(lock, (yesterday, yesterday))
    with watching(root) as watched:
        (root / "train.py").write_text("x = 2\n")
        watched.until("train.py")
        assert str(lock) in watched.notices.get(timeout=BOUND_SECONDS)
        (root / "train.py").write_text("x = 3\n")
        watched.until("train.py")
        assert watched.notices.empty()


def test_without_a_repository_nothing_is_held(tmp_path: Path) -> None:
    assert work_tree(Path("/")) is None
    (tmp_path / "plain").mkdir()
    with watching(tmp_path.resolve() / "plain") as watched:
        (watched.root / "train.py").write_text("x = 2\n")
        watched.until("train.py")


SECONDS = st.floats(0.0, 1000.0)


@given(SECONDS, SECONDS, SECONDS)
def test_a_lock_holds_while_it_is_young_or_the_tree_is_busy_but_never_for_ever(
    age: float, held: float, quiet: float
) -> None:
    if held >= LONGEST_HOLD_SECONDS:
        assert is_left_over(age, held, quiet)
    elif age < STALE_SECONDS or quiet < STALE_QUIET_SECONDS:
        assert not is_left_over(age, held, quiet)
    else:
        assert is_left_over(age, held, quiet)


@pytest.mark.parametrize("name", ["train.py", "src/model.py"])
def test_a_stash_and_its_return_are_seen(root: Path, name: str) -> None:
    (root / "src").mkdir()
    (root / "src" / "model.py").write_text("x = 1\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "two")
    (root / name).write_text("x = 2\n")
    with watching(root) as watched:
        git(root, "stash", "-q")
        watched.until(name)
        git(root, "stash", "pop", "-q")
        watched.until(name)
