"""The fakes keep the laws of the real edges: each law is written once and held over both."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from mlbench.pipeline.outs import Store
from mlbench.pipeline.traces import Journal
from mlbench.pipeline.tree import DiskTree, Tree
from mlbench.system import journal as real_journal
from mlbench.system.content import ContentStore, hash_bytes
from tests.model.disk import TICK_NS, Disk
from tests.model.fakes import Crash, FakeJournal, FakeStore, FakeTree, Process


class Place(Protocol):
    """A folder on a disk, what the core sees of it, and what people can do in it."""

    root: Path
    tree: Tree

    def tick(self) -> None:
        """Let the clock of the stamps go on."""

    def write(self, name: str, data: bytes) -> None:
        """In place."""

    def replace(self, name: str, data: bytes) -> None:
        """By a new file that is renamed into its place."""

    def set_mtime(self, name: str, mtime: int) -> None:
        """As `touch -d` does."""

    def chmod(self, name: str) -> None:
        """Change the mode."""

    def store(self) -> Store:
        """A store beside the folder."""

    def lose(self, digest: str) -> None:
        """Remove an object from the store."""

    def journal(self) -> Journal:
        """The journal as a new process opens it."""


class RealPlace:
    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.root.mkdir()
        self.tree: Tree = DiskTree()
        self._beside = root
        self._store = ContentStore(root / "cache")

    def tick(self) -> None:
        scratch = self._beside / "scratch"
        scratch.write_bytes(b"")
        begun = scratch.stat().st_mtime_ns
        while scratch.stat().st_mtime_ns == begun:
            scratch.write_bytes(b"")

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def replace(self, name: str, data: bytes) -> None:
        beside = self._beside / "new"
        beside.write_bytes(data)
        beside.rename(self.root / name)

    def set_mtime(self, name: str, mtime: int) -> None:
        os.utime(self.root / name, ns=(mtime, mtime))

    def chmod(self, name: str) -> None:
        (self.root / name).chmod(0o600)

    def store(self) -> Store:
        return self._store

    def lose(self, digest: str) -> None:
        self._store.path_of(digest).unlink()

    def journal(self) -> Journal:
        return real_journal.Journal(self._beside / "journal.jsonl")


class FakePlace:
    def __init__(self) -> None:
        self.root = Path("/p/project")
        self.disk = Disk(TICK_NS)
        self.disk.make_folder(str(self.root))
        self.process = Process()
        self.tree: Tree = FakeTree(self.disk, self.process)
        self._objects: dict[str, bytes] = {}
        self._store = FakeStore(self.disk, self._objects, self.process)
        self._lines: list[str] = []

    def tick(self) -> None:
        self.disk.now += TICK_NS

    def write(self, name: str, data: bytes) -> None:
        self.disk.write(str(self.root / name), data)

    def replace(self, name: str, data: bytes) -> None:
        self.disk.replace(str(self.root / name), data)

    def set_mtime(self, name: str, mtime: int) -> None:
        self.disk.touch(str(self.root / name), mtime)

    def chmod(self, name: str) -> None:
        self.disk.chmod(str(self.root / name))

    def store(self) -> Store:
        return self._store

    def lose(self, digest: str) -> None:
        del self._objects[digest]

    def journal(self) -> Journal:
        return FakeJournal(self._lines, self.process)


@pytest.fixture(params=["real", "fake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return RealPlace(tmp_path) if request.param == "real" else FakePlace()


def stat(place: Place, name: str) -> tuple[int, int, int, int]:
    found = place.tree.stat(place.root / name)
    assert found is not None
    return found


def test_nothing_is_where_nothing_was_made(place: Place) -> None:
    missing = place.root / "missing"
    assert place.tree.stat(missing) is None
    assert not place.tree.is_file(missing)
    assert not place.tree.is_folder(missing)
    assert place.tree.names(missing) == []
    for look in (place.tree.read, place.tree.digest):
        with pytest.raises(FileNotFoundError):
            look(missing)
    place.tree.remove(missing)
    with pytest.raises(FileNotFoundError):
        place.tree.move(missing, place.root / "target")


def test_a_file_is_what_was_written(place: Place) -> None:
    place.write("a/b.txt", b"text")
    path = place.root / "a" / "b.txt"
    assert place.tree.read(path) == b"text"
    assert place.tree.digest(path) == hash_bytes(b"text")
    assert place.tree.is_file(path)
    assert place.tree.is_folder(path.parent)
    assert not place.tree.is_file(path.parent)
    assert stat(place, "a/b.txt")[0] == 4


@pytest.mark.parametrize(
    ("do", "keeps_inode", "keeps_mtime"),
    [
        (lambda place: place.write("f", b"else"), True, False),
        (lambda place: place.replace("f", b"else"), False, False),
        (lambda place: place.chmod("f"), True, True),
        (lambda place: place.set_mtime("f", 10**18), True, False),
        (lambda place: place.tree.write(place.root / "f", b"else"), False, False),
    ],
    ids=["written in place", "replaced", "chmod", "touched back", "written by the core"],
)
def test_every_change_moves_the_ctime(
    place: Place, do: Callable[[Place], None], keeps_inode: bool, keeps_mtime: bool
) -> None:
    place.write("f", b"text")
    before = stat(place, "f")
    place.tick()
    do(place)
    after = stat(place, "f")
    assert after[2] > before[2]
    assert (after[1] == before[1]) is keeps_mtime
    assert (after[3] == before[3]) is keeps_inode


def test_an_mtime_that_is_set_stays(place: Place) -> None:
    place.write("f", b"text")
    before = stat(place, "f")
    place.tick()
    place.write("f", b"else")
    place.set_mtime("f", before[1])
    after = stat(place, "f")
    assert (after[0], after[1], after[3]) == (before[0], before[1], before[3])
    assert after[2] > before[2]


def test_a_rename_keeps_inode_and_mtime_and_moves_the_ctime(place: Place) -> None:
    place.write("f", b"text")
    before = stat(place, "f")
    place.tick()
    place.tree.move(place.root / "f", place.root / "deep" / "g")
    after = stat(place, "deep/g")
    assert (after[0], after[1], after[3]) == (before[0], before[1], before[3])
    assert after[2] > before[2]
    assert place.tree.stat(place.root / "f") is None


def test_a_folder_moves_with_all_that_it_holds(place: Place) -> None:
    for name in ("top/a", "top/in/b"):
        place.write(name, name.encode())
    inner = stat(place, "top/in/b")
    place.tick()
    place.tree.move(place.root / "top", place.root / "other" / "top")
    assert place.tree.names(place.root) == ["other"]
    assert place.tree.read(place.root / "other/top/in/b") == b"top/in/b"
    assert stat(place, "other/top/in/b") == inner


def test_a_file_that_is_moved_onto_another_replaces_it(place: Place) -> None:
    place.write("f", b"new")
    place.write("g", b"old")
    place.tree.move(place.root / "f", place.root / "g")
    assert place.tree.names(place.root) == ["g"]
    assert place.tree.read(place.root / "g") == b"new"


@pytest.mark.parametrize("what", ["made", "removed", "renamed"])
def test_a_folder_moves_with_what_comes_and_goes_in_it(place: Place, what: str) -> None:
    place.write("in/f", b"text")
    before = stat(place, "in")
    place.tick()
    if what == "made":
        place.write("in/g", b"text")
    elif what == "removed":
        place.tree.remove(place.root / "in/f")
    else:
        place.tree.move(place.root / "in/f", place.root / "in/g")
    after = stat(place, "in")
    assert after[1] > before[1]
    assert after[2] > before[2]
    assert after[3] == before[3]


def test_a_folder_does_not_move_with_what_is_written_in_its_files(place: Place) -> None:
    place.write("in/f", b"text")
    before = stat(place, "in")
    place.tick()
    place.write("in/f", b"else")
    assert stat(place, "in") == before


def test_files_are_listed_in_order_and_without_what_is_left_out(place: Place) -> None:
    for name in ("b", "a/2", "a/1", "skip/x", "a/skip"):
        place.write(name, b"")
    found = place.tree.files(place.root, lambda name: name == "skip")
    assert [path.relative_to(place.root).as_posix() for path in found] == ["a/1", "a/2", "b"]
    assert place.tree.names(place.root) == ["a", "b", "skip"]


def test_removing_takes_whole_folders(place: Place) -> None:
    place.write("a/b/c", b"")
    place.tree.remove(place.root / "a")
    assert place.tree.names(place.root) == []


def test_a_copy_is_another_file(place: Place) -> None:
    place.write("a/f", b"text")
    place.tree.copy(place.root / "a", place.root / "b")
    place.write("b/f", b"else")
    assert place.tree.read(place.root / "a/f") == b"text"


def test_the_clock_is_not_behind_the_stamps(place: Place) -> None:
    place.write("f", b"")
    assert stat(place, "f")[1] <= place.tree.now()


def test_the_store_gives_back_what_was_put(place: Place) -> None:
    store, digest = place.store(), hash_bytes(b"text")
    place.write("f", b"text")
    assert not store.has(digest)
    store.put(place.root / "f", digest)
    assert store.has(digest)
    store.restore(digest, place.root / "deep" / "g")
    place.write("deep/g", b"else")
    store.restore(digest, place.root / "h")
    assert place.tree.read(place.root / "h") == b"text"


def test_the_store_gives_folders_back(place: Place) -> None:
    from mlbench.pipeline.digests import Digests

    for name in ("top/a", "top/in/b"):
        place.write(name, name.encode())
    digest = Digests(place.tree, place.root / "none").content(place.root / "top")
    assert digest is not None
    store = place.store()
    store.put(place.root / "top", digest)
    assert store.has(digest)
    store.restore(digest, place.root / "back")
    assert place.tree.read(place.root / "back/in/b") == b"top/in/b"
    place.lose(hash_bytes(b"top/a"))
    assert not store.has(digest)
    with pytest.raises(FileNotFoundError):
        store.restore(digest, place.root / "again")


def test_the_store_keeps_nothing_that_was_changed_since_it_was_hashed(place: Place) -> None:
    place.write("f", b"else")
    place.store().put(place.root / "f", hash_bytes(b"text"))
    assert not place.store().has(hash_bytes(b"text"))


@pytest.mark.parametrize("value", [{"a": [1, None, "ä"]}, [], "text"])
def test_the_journal_outlives_its_process(place: Place, value: Any) -> None:
    place.journal().append(value)
    place.journal().append("second")
    assert place.journal().news() == (False, [value, "second"])


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    """Both journals, torn each in its own way."""
    real = RealPlace(tmp_path)
    real.journal().append("first")
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b"0000")
    fake = FakePlace()
    fake.journal().append("first")
    fake.process.fuse = 2
    with pytest.raises(Crash):
        fake.journal().append("every second one is torn")
    for place in (real, fake):
        assert place.journal().news() == (False, ["first"])
    real.journal().append("third")
    assert real.journal().news() == (False, ["first", "third"])


def test_a_process_that_crashed_does_nothing_more() -> None:
    place = FakePlace()
    place.process.fuse = 1
    for _ in range(2):
        with pytest.raises(Crash):
            place.tree.write(place.root / "f", b"")
    assert place.disk.names(str(place.root)) == []
