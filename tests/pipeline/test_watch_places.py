"""What is looked at: nothing that is ignored, deps wherever they lie, and what links lead to."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from mlbench.pipeline.watching.ignored import Ignored
from mlbench.pipeline.watching.places import Place, places
from tests.pipeline.watched import Watched

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="counts inotify's watches")


def write(path: Path, text: str = "1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "home" / "project"
    write(root / "train.py")
    write(root / "src" / "model.py")
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path.resolve() / "home" / "data"
    write(outside / "rows.csv")
    write(outside / "images" / "one" / "a.png")
    return outside


def watches() -> int:
    """How many inotify watches this process holds."""
    found = 0
    for entry in Path("/proc/self/fdinfo").iterdir():
        try:
            found += entry.read_text().count("inotify wd:")
        except OSError:
            continue
    return found


def looked_at(ignored: Ignored) -> set[str]:
    """The names of all folders that are watched, the project's own as ''."""
    found: set[str] = set()
    pending: list[Place] = list(places(ignored))
    while pending:
        place = pending.pop()
        found.add(place.name)
        pending += place.look(with_files=False)[0]
    return found


@pytest.fixture
def full(root: Path) -> Path:
    """Ignored folders of every kind, also deep ones."""
    write(root / ".gitignore", "data/raw\n*.ckpt/\n")
    write(root / "src" / ".gitignore", "/generated\n")
    for name in (
        "src/node_modules/a/b/x.js",
        "data/raw/r1/x.bin",
        "data/clean/x.csv",
        "runs/last.ckpt/shard/x",
        "tools/.venv/lib/python/x.py",
        "src/generated/deep/x.py",
        ".git/objects/ab/cdef",
        ".mlbench/runs/r/x",
    ):
        write(root / name)
    return root


def test_ignored_folders_are_not_looked_at_however_deep(full: Path) -> None:
    expected = {"", "src", "data", "data/clean", "runs", "tools"}
    assert looked_at(Ignored(full, ())) == expected


@on_linux
def test_ignored_folders_take_no_watch_at_start_and_none_later(full: Path) -> None:
    before = watches()
    watched = Watched(full)
    assert watches() - before == 6
    for name in ("src/node_modules/new/x.js", "new/node_modules/x/y.js", "data/raw/r2/x.bin"):
        write(full / name)
    assert watched.so_far() == {"new"}
    assert watches() - before == 7
    shutil.rmtree(full / "new")
    (full / "data").rename(full / "src" / "generated" / "data")
    watched.so_far()
    assert watches() - before == 4
    watched.watch.stop()
    assert watches() == before


@on_linux
def test_a_change_of_an_ignore_file_gives_and_takes_watches(full: Path) -> None:
    before = watches()
    watched = Watched(full)
    (full / "src" / ".gitignore").write_text("")
    watched.until_everything()
    watched.write_until_told("src/generated/deep/x.py")
    (full / "src" / ".gitignore").write_text("generated\n")
    watched.until_everything()
    assert watches() - before == 6
    watched.watch.stop()


def test_ten_thousand_ignored_files_give_no_call(full: Path) -> None:
    watched = Watched(full)
    folder = full / "data" / "raw" / "r1"
    for number in range(10_000):
        os.mknod(folder / str(number))
    assert watched.so_far() == set()
    watched.watch.stop()


def test_ten_thousand_files_that_count_are_told_no_oftener_than_the_cap_says(root: Path) -> None:
    watched = Watched(root)
    began = time.monotonic()
    for number in range(10_000):
        (root / "src" / str(number)).write_text("x")
    seconds = time.monotonic() - began
    (root / "last").write_text("x")
    # A writer that the machine stops for a moment looks like one who pauses.
    assert len(watched.until("last")) <= seconds / 1.6 + 12
    watched.watch.stop()


@pytest.mark.parametrize("absolute", [False, True])
def test_a_dep_outside_the_project_is_seen(root: Path, outside: Path, absolute: bool) -> None:
    name = str(outside / "rows.csv") if absolute else "../data/rows.csv"
    watched = Watched(root, (name,))
    write(outside / "other.csv")
    write(outside / "rows.csv", "2\n")
    assert {path for call in watched.until(name) for path in call} == {name}
    watched.watch.stop()


def test_a_folder_outside_is_a_whole_tree_whatever_git_ignores(root: Path, outside: Path) -> None:
    write(root / ".gitignore", "*.png\n")
    watched = Watched(root, ("../data",))
    write(outside / "images" / "two" / "b.png")
    watched.until("../data/images/two/b.png")
    write(outside / "images" / "one" / "a.png", "2\n")
    watched.until("../data/images/one/a.png")
    write(outside / ".cache" / "x")
    write(outside.parent / "unrelated")
    assert watched.so_far() == set()
    watched.watch.stop()


def test_a_dep_outside_that_is_still_to_come_is_seen_when_it_does(root: Path) -> None:
    name = "../later/deep/rows.csv"
    watched = Watched(root, (name,))
    write(root.parent / "later" / "unrelated.csv")
    write(root.parent / "later" / "deep" / "rows.csv")
    watched.until(name)
    write(root.parent / "later" / "deep" / "rows.csv", "2\n")
    watched.until(name)
    watched.watch.stop()


def test_an_outside_folder_that_is_replaced_is_watched_on(root: Path, outside: Path) -> None:
    name = "../data/rows.csv"
    watched = Watched(root, (name,))
    outside.rename(outside.with_name("old"))
    watched.until_everything()
    write(outside / "rows.csv", "2\n")
    watched.until(name)
    write(outside / "rows.csv", "3\n")
    watched.until(name)
    watched.watch.stop()


def test_names_that_a_stage_gets_later_are_looked_at_from_then_on(
    root: Path, outside: Path
) -> None:
    write(root / ".gitignore", "rows/\n")
    write(root / "rows" / "a.csv")
    watched = Watched(root)
    watched.watch.look_for(("../data/rows.csv", "rows/a.csv"))
    watched.until_everything()
    write(outside / "rows.csv", "2\n")
    watched.until("../data/rows.csv")
    write(root / "rows" / "a.csv", "2\n")
    watched.until("rows/a.csv")
    watched.watch.look_for(("rows/a.csv", "../data/rows.csv"))
    assert watched.so_far() == set()
    watched.watch.stop()


@pytest.mark.parametrize("target", ["folder", "file"])
def test_what_a_link_leads_to_is_seen(root: Path, outside: Path, target: str) -> None:
    if target == "folder":
        (root / "data").symlink_to(outside)
        told = "data/rows.csv"
    else:
        (root / "rows.csv").symlink_to(outside / "rows.csv")
        told = str(outside / "rows.csv")
    watched = Watched(root, ("data/rows.csv" if target == "folder" else "rows.csv",))
    write(outside / "rows.csv", "2\n")
    watched.until(told)
    watched.watch.stop()


def test_a_link_that_is_turned_elsewhere_is_followed(root: Path, outside: Path) -> None:
    (root / "data").symlink_to(outside)
    other = outside.with_name("other")
    write(other / "rows.csv")
    watched = Watched(root)
    (root / "new").symlink_to(other)
    (root / "new").rename(root / "data")
    watched.until("data")
    watched.so_far()
    watched.write_until_told("data/rows.csv")
    assert (other / "rows.csv").read_text() != "1\n"
    watched.watch.stop()


def test_links_that_go_round_end(root: Path, outside: Path) -> None:
    (root / "self").symlink_to(root)
    (root / "up").symlink_to(root.parent)
    (root / "data").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (outside / "images" / "again").symlink_to(outside)
    expected = {"", "src", "data", "data/images", "data/images/one"}
    assert looked_at(Ignored(root, ())) == expected
    assert looked_at(Ignored(root, ("data",))) >= expected


@on_linux
def test_three_thousand_folders_take_one_watch_each_and_no_thread(root: Path) -> None:
    for number in range(3000):
        (root / "src" / f"a{number % 30}" / f"b{number}").mkdir(parents=True)
    before = watches()
    watched = Watched(root)
    assert watches() - before == 3032
    watched.write_until_told("src/a29/b2999/x.py")
    watched.watch.stop()


@on_linux
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_left_alone(root: Path) -> None:
    (root / "src").chmod(0)
    watched = Watched(root)
    (root / "src").chmod(0o755)
    assert watched.watch.detail == ""
    (root / "train.py").write_text("2\n")
    watched.until("train.py")
    watched.watch.stop()


def test_a_folder_that_is_moved_in_is_told_with_what_it_holds(root: Path, outside: Path) -> None:
    watched = Watched(root)
    outside.rename(root / "data")
    assert watched.so_far() == {"data", "data/rows.csv", "data/images/one/a.png"}
    watched.watch.stop()


def test_a_folder_that_is_replaced_means_everything_and_has_its_own_ignore_file(
    root: Path, outside: Path
) -> None:
    write(root / "src" / ".gitignore", "*.csv\n")
    watched = Watched(root)
    (root / "src").rename(root.parent / "old")
    outside.rename(root / "src")
    watched.until_everything()
    write(root / "src" / "rows.csv", "2\n")
    watched.until("src/rows.csv")
    watched.watch.stop()
