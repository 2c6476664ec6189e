"""Whatever way an editor saves in, it is the saved file that is told, and nothing beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.watched import Watched

Save = Callable[[Path], None]


def in_place(path: Path) -> None:
    """VS Code, nano."""
    path.write_text("x = 2\n")


def vim(path: Path) -> None:
    """With its probe, swap file and backup, as `set backupcopy=no` has it."""
    swap, probe, backup = (path.with_name(name) for name in (f".{path.name}.swp", "4913", "it~"))
    swap.write_text("swap")
    probe.touch()
    probe.unlink()
    path.rename(backup)
    path.write_text("x = 2\n")
    backup.unlink()
    swap.unlink()


def emacs(path: Path) -> None:
    """With its lock link, auto-save file and backup."""
    lock, auto = path.with_name(f".#{path.name}"), path.with_name(f"#{path.name}#")
    lock.symlink_to("someone@somewhere.1234:1700000000")
    auto.write_text("x = 2\n")
    os.link(path, path.with_name(f"{path.name}~"))
    path.unlink()
    path.write_text("x = 2\n")
    auto.unlink()
    lock.unlink()


def pycharm(path: Path) -> None:
    """By its safe write."""
    new, old = (path.with_name(f"{path.name}___jb_{kind}___") for kind in ("tmp", "old"))
    new.write_text("x = 2\n")
    path.rename(old)
    new.rename(path)
    old.unlink()


def kate(path: Path) -> None:
    """By Qt's QSaveFile, beside a swap file that stays."""
    path.with_name(f".{path.name}.kate-swp").write_text("swap")
    new = path.with_name(f"{path.name}.qXvRZt")
    new.write_text("x = 2\n")
    new.rename(path)


def gedit(path: Path) -> None:
    """By GLib's stream."""
    new = path.with_name(".goutputstream-UQH0Z2")
    new.write_text("x = 2\n")
    os.link(path, path.with_name(f"{path.name}~"))
    new.rename(path)


def sed(path: Path) -> None:
    """The real one."""
    subprocess.run(["sed", "-i", "s/1/2/", str(path)], check=True)


def real_vim(path: Path) -> None:
    """The real one, with a swap file and a backup."""
    if shutil.which("vim") is None:
        pytest.skip("no vim here")
    command = ["vim", "-Nu", "NONE", "-es", "-c", "set backup backupcopy=no | s/1/2/ | wq"]
    subprocess.run([*command, str(path)], check=True)


def truncated_by_name(path: Path) -> None:
    """Nobody opens it, so nobody closes it."""
    os.truncate(path, 2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    (root / "src").mkdir(parents=True)
    for name in ("train.py", "src/model.py"):
        (root / name).write_text("x = 1\n")
    return root


@pytest.fixture
def watched(root: Path) -> Iterator[Watched]:
    watched = Watched(root)
    yield watched
    watched.watch.stop()


@pytest.mark.parametrize("name", ["train.py", "src/model.py"])
@pytest.mark.parametrize(
    "save", [in_place, vim, emacs, pycharm, kate, gedit, sed, real_vim, truncated_by_name]
)
def test_exactly_the_saved_file_is_told(watched: Watched, save: Save, name: str) -> None:
    save(watched.root / name)
    assert {path for call in watched.until(name) for path in call} == {name}
    assert watched.so_far() <= {name}


def test_what_is_made_and_gone_again_is_not_told(watched: Watched) -> None:
    for name in ("tmpq8z", "src/sedX1"):
        (watched.root / name).write_text("x")
        (watched.root / name).unlink()
    assert watched.so_far() == set()


def test_a_log_that_is_held_open_is_told_at_the_cap_and_holds_up_no_save(watched: Watched) -> None:
    with (watched.root / "train.log").open("w") as log:
        for number in range(2000):
            print(number, file=log, flush=True)
        (watched.root / "train.py").write_text("x = 2\n")
        watched.until("train.py")
        print("more", file=log, flush=True)
        watched.until("train.log")


def test_links_and_hard_links_are_complete_at_once(watched: Watched) -> None:
    (watched.root / "linked.py").symlink_to("train.py")
    os.link(watched.root / "train.py", watched.root / "src" / "hard.py")
    assert watched.so_far() == {"linked.py", "src/hard.py"}
