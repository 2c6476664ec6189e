"""Saves of every kind are seen, on a real tree with a real observer; what is no save is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.watched import Watched


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "deep" / "model.py").write_text("x = 1\n")
    (root / "train.py").write_text("x = 1\n")
    (root / "rows").mkdir()
    (root / "rows" / "a.csv").write_text("1\n")
    (root / ".gitignore").write_text("rows/\nbuild/\n*.log\n")
    (root / "build").mkdir()
    (root / ".git").mkdir()
    return root


@pytest.fixture
def watched(root: Path) -> Iterator[Watched]:
    watched = Watched(root)
    yield watched
    watched.watch.stop()


@pytest.mark.parametrize("name", ["train.py", "src/deep/model.py", "src/deep/new.py", "new.py"])
def test_a_plain_write_is_seen(watched: Watched, name: str) -> None:
    (watched.root / name).write_text("x = 2\n")
    watched.until(name)


@pytest.mark.parametrize("name", ["train.py", "src/deep/model.py"])
def test_an_editors_save_by_rename_is_seen_under_the_files_name(
    watched: Watched, name: str
) -> None:
    path = watched.root / name
    backup, new = path.with_name(f"{path.name}~"), path.with_name(f".{path.name}.swx")
    shutil.copy2(path, backup)
    new.write_text("x = 2\n")
    os.replace(new, path)
    backup.unlink()
    calls = watched.until(name)
    assert {seen for call in calls for seen in call} == {name}


def test_a_deleted_and_a_renamed_file_are_seen(watched: Watched) -> None:
    (watched.root / "src" / "deep" / "model.py").unlink()
    watched.until("src/deep/model.py")
    (watched.root / "train.py").rename(watched.root / "src" / "fit.py")
    assert watched.so_far() == {"train.py", "src/fit.py"}


def test_what_editors_leave_is_nobodys_business(watched: Watched) -> None:
    for name in (".train.py.swp", "train.py~", "src/.#model.py", "src/x.tmp", "src/y.pyc"):
        (watched.root / name).write_text("x")
    assert watched.so_far() == set()


def test_reading_gives_no_call(watched: Watched) -> None:
    for _ in range(3):
        assert (watched.root / "src" / "deep" / "model.py").read_text()
        assert (watched.root / "train.py").read_text()
        assert list(os.walk(watched.root))
    assert watched.so_far() == set()


def test_ignored_folders_and_files_give_none(watched: Watched) -> None:
    for name in (
        "rows/a.csv",
        "build/out",
        "src/build/x",
        "src/run.log",
        ".git/HEAD",
        ".venv/x",
        ".mlbench/state",
        "src/__pycache__/m.pyc",
        "src/.pytest_cache/v",
    ):
        path = watched.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert watched.so_far() == set()


@pytest.mark.parametrize("dep", ["rows", "rows/a.csv"])
def test_a_dep_that_git_ignores_is_seen_all_the_same(root: Path, dep: str) -> None:
    watched = Watched(root, (dep,))
    (root / "rows" / "a.csv").write_text("2\n")
    (root / "build" / "out").write_text("x")
    assert watched.so_far() == {"rows/a.csv"}
    watched.watch.stop()


def test_the_configuration_of_one_machine_is_seen_though_git_ignores_it(root: Path) -> None:
    (root / ".gitignore").write_text("mlbench.local.toml\n")
    watched = Watched(root)
    (root / "mlbench.local.toml").write_text("")
    watched.until("mlbench.local.toml")
    watched.watch.stop()


@pytest.mark.parametrize("folder", ["fresh", "src/fresh", "fresh/far/down"])
def test_a_new_folder_is_seen_and_then_every_file_in_it(watched: Watched, folder: str) -> None:
    (watched.root / folder).mkdir(parents=True)
    watched.so_far()
    watched.write_until_told(f"{folder}/a.py")
    watched.write_until_told(f"{folder}/a.py")


def test_a_folder_that_goes_and_comes_again_is_watched_again(watched: Watched) -> None:
    for number in range(3):
        shutil.rmtree(watched.root / "src")
        (watched.root / "src" / "deep").mkdir(parents=True)
        watched.so_far()
        watched.write_until_told(f"src/deep/again{number}.py")


def test_a_folder_that_was_moved_is_watched_under_its_new_name(watched: Watched) -> None:
    (watched.root / "src").rename(watched.root / "lib")
    watched.so_far()
    watched.write_until_told("lib/deep/model.py")
    (watched.root / "src").mkdir()
    watched.so_far()
    watched.write_until_told("src/new.py")


def test_folders_that_are_gone_before_they_are_looked_at_harm_nothing(watched: Watched) -> None:
    for number in range(100):
        (watched.root / f"brief{number}").mkdir()
        (watched.root / f"brief{number}").rmdir()
    watched.so_far()
    (watched.root / "src" / "deep" / "model.py").write_text("x = 2\n")
    watched.until("src/deep/model.py")


def test_a_burst_of_files_is_a_few_calls(watched: Watched) -> None:
    for number in range(300):
        (watched.root / "src" / f"f{number}.py").write_text("x")
    (watched.root / "src" / "last").write_text("x")
    calls = watched.until("src/last")
    assert {f"src/f{number}.py" for number in range(300)} <= {p for call in calls for p in call}
    assert len(calls) <= 10


def test_after_stop_there_is_no_call(root: Path) -> None:
    watched = Watched(root)
    watched.watch.stop()
    (root / "train.py").write_text("x = 2\n")
    assert watched.is_silent_for(0.2)


def test_a_watch_that_stops_while_a_change_is_pending_ends(root: Path) -> None:
    watched = Watched(root)
    (root / ".git" / "index.lock").touch()
    (root / "train.py").write_text("x = 2\n")
    watched.watch.stop()
