"""Watchdog's observer for whole trees, with the one that this platform has."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.pipeline.watching.ignored import Ignored
from mlbench.pipeline.watching.observer import TreeWatch
from mlbench.pipeline.watching.pending import Change
from mlbench.pipeline.watching.places import Place, places
from tests.pipeline.watched import BOUND_SECONDS

Told = tuple[str, Change]


class Heard:
    """A tree watch, and what it notes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ignored = Ignored(root, ("../data/rows.csv", "../table.csv"))
        self.elsewhere: list[Place] = []
        self._noted: queue.Queue[Told] = queue.Queue()
        self.watch = TreeWatch(
            lambda: places(self.ignored),
            lambda path, change: self._noted.put((path, change)),
            lambda place: place in self.elsewhere,
        )
        self.watch.look_anew()

    def until(self, told: Told) -> set[str]:
        """The paths noted until this is."""
        found: set[str] = set()
        while True:
            noted = self._noted.get(timeout=BOUND_SECONDS)
            found.add(noted[0])
            if noted == told:
                return found


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    root = tmp_path.resolve() / "project"
    for name in ("src/model.py", "src/node_modules/x.js", "../data/rows.csv", "../linked/x.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1\n")
    (root / ".gitignore").write_text("node_modules\n")
    (root / "link").symlink_to(tmp_path.resolve() / "linked")
    heard = Heard(root)
    yield heard
    heard.watch.stop()


def test_a_save_by_rename_is_told_and_what_is_ignored_is_not(heard: Heard) -> None:
    (heard.root / "src" / "node_modules" / "y.js").write_text("2\n")
    (heard.root / "src" / "new~").write_text("2\n")
    os.replace(heard.root / "src" / "new~", heard.root / "src" / "model.py")
    assert heard.until(("src/model.py", Change.SAVED)) == {"src/model.py"}
    (heard.root / "src" / "model.py").unlink()
    heard.until(("src/model.py", Change.GONE))


@pytest.mark.parametrize("name", ["../data/rows.csv", "../table.csv", "link/x.csv"])
def test_deps_outside_and_links_are_told(heard: Heard, name: str) -> None:
    (heard.root / name).write_text("2\n")
    heard.until((name, Change.SAVED))


def test_a_second_look_takes_what_is_named_by_then(heard: Heard) -> None:
    heard.ignored.look_for(("src/node_modules/x.js",))
    heard.watch.look_anew()
    (heard.root / "src" / "node_modules" / "x.js").write_text("2\n")
    heard.until(("src/node_modules/x.js", Change.SAVED))
