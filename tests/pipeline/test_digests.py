"""The stat cache: quick, and never stale however fast and sly a file changes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.pipeline.digests import Digests, is_racy
from mlbench.pipeline.tree import DiskTree
from mlbench.system.content import FOLDER_MARK, hash_bytes

TREE = DiskTree()
LONG_AGO = 1_600_000_000_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "stat.json"


def _settle(path: Path) -> None:
    """Look at a file only once its stat is sure to tell a later edit."""
    stat = TREE.stat(path)
    assert stat is not None
    while is_racy(stat, time.time_ns()):
        pass


edits = st.lists(
    st.tuples(
        st.sampled_from(["in place", "replace", "replace and keep time", "keep time", "touch"]),
        st.sampled_from([b"aaaa", b"bbbb", b"cccc"]),
    ),
    max_size=12,
)


@given(edits=edits, data=st.data())
def test_no_edit_however_fast_gives_a_stale_digest(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, bytes]], data: Any
) -> None:
    folder = tmp_path_factory.mktemp("racy")
    path, content = folder / "file", b"aaaa"
    path.write_bytes(content)
    digests = Digests(TREE, folder / "stat.json")
    for how, new in edits:
        if how == "touch":
            os.utime(path, ns=(LONG_AGO, LONG_AGO))
        else:
            content = new
            target = folder / "new" if "replace" in how else path
            target.touch()
            with target.open("r+b") as opened:
                opened.write(content)
            if "time" in how:
                os.utime(target, ns=(LONG_AGO, LONG_AGO))
            os.replace(target, path)
        if data.draw(st.booleans(), label="a new process"):
            digests.save()
            digests = Digests(TREE, folder / "stat.json")
        assert digests.content(path) == hash_bytes(content)


def test_a_file_that_stays_is_not_read_again(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x")
    _settle(path)
    digests = Digests(TREE, file)
    first = digests.content(path)
    digests.save()
    assert Digests(TREE, file)._entries == {f"bytes:{path}": (TREE.stat(path), first)}
    # What is remembered is what is answered: no read could give this.
    poisoned = Digests(TREE, file)
    poisoned._entries[f"bytes:{path}"] = (TREE.stat(path) or (0, 0, 0, 0), "remembered")
    assert poisoned.content(path) == "remembered"


def test_a_file_written_just_now_is_not_remembered(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "young"
    digests = Digests(TREE, file)
    path.write_bytes(b"x")
    digests.content(path)
    assert digests._entries == {}


def test_whole_seconds_are_not_trusted_for_two() -> None:
    second = 1_700_000_000_000_000_000
    assert is_racy((1, second, second, 1), second + 1_900_000_000)
    assert not is_racy((1, second, second, 1), second + 2_100_000_000)
    assert is_racy((1, second + 1, second + 1, 1), second + 40_000_000)
    assert not is_racy((1, second + 1, second + 1, 1), second + 60_000_000)
    assert is_racy((1, second + 10**9, second, 1), second)


def test_code_counts_by_its_meaning_and_data_by_its_bytes(file: Path, tmp_path: Path) -> None:
    digests = Digests(TREE, file)

    def meaning(name: str, text: str) -> str | None:
        (tmp_path / name).write_text(text)
        return digests.meaning(tmp_path / name)

    assert meaning("a.py", "x = 1\n") == meaning("a.py", "# c\nx  = (1)\n")
    assert meaning("a.py", "x = 1\n") != meaning("a.py", "x = 2\n")
    assert meaning("a.py", '"""A."""\n') != meaning("a.py", '"""B."""\n')
    assert meaning("a.py", "x = 'a'\n") == meaning("a.py", 'x = "a"\n')
    assert meaning("a.py", "x = (\n") != meaning("a.py", "x = ( \n")
    assert meaning("a.txt", "x = 1\n") != meaning("a.txt", "x = 1 \n")


def test_folders_count_by_every_file_below(file: Path, tmp_path: Path) -> None:
    digests = Digests(TREE, file)
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.py").write_text("x = 1\n")
    content, meaning = digests.content(folder), digests.meaning(folder)
    assert content is not None
    assert content.startswith(FOLDER_MARK)
    (folder / "deep" / "a.py").write_text("x = 1  # comment\n")
    assert digests.meaning(folder) == meaning
    assert digests.content(folder) != content
    (folder / "deep" / "a.py").rename(folder / "deep" / "b.py")
    assert digests.meaning(folder) != meaning


def test_what_is_not_there_has_no_digest(file: Path, tmp_path: Path) -> None:
    digests = Digests(TREE, file)
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("missing", "dangling"):
        assert digests.content(tmp_path / name) is None
        assert digests.meaning(tmp_path / name) is None
        assert TREE.stat(tmp_path / name) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 1, "entries": []}',
        '{"version": 1, "entries": {"a": [1]}}',
        '{"version": 99, "entries": {"a": 1}}',
    ],
)
def test_a_damaged_or_foreign_memory_counts_as_empty(file: Path, tmp_path: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    (tmp_path / "a").write_bytes(b"x")
    assert Digests(TREE, file).content(tmp_path / "a") == hash_bytes(b"x")


def test_a_memory_that_can_t_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    path = tmp_path / "a"
    path.write_bytes(b"x")
    _settle(path)
    digests = Digests(TREE, tmp_path / "state" / "stat.json")
    digests.content(path)
    digests.save()


def test_a_folder_in_the_place_of_a_known_file_is_no_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"aaaa")
    _settle(path)
    digests = Digests(TREE, file)
    of_file = digests.content(path)
    assert of_file == digests.meaning(path) == digests.known_meaning(path, TREE.stat(path))
    path.unlink()
    path.mkdir()
    (path / "inner").write_bytes(b"aaaa")
    of_folder = digests.content(path)
    assert of_folder is not None
    assert of_folder.startswith(FOLDER_MARK)
    assert digests.known_meaning(path, TREE.stat(path)) is None
    assert digests.meaning(path) != of_file


def test_what_a_stat_alone_tells_is_kept_for_the_next_process(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"aaaa")
    _settle(path)
    first = Digests(TREE, file)
    digest = first.content(path)
    first.save()
    # One that only ever asks by the stat must not make the next forget what it asked for.
    second = Digests(TREE, file)
    assert second.known_meaning(path, TREE.stat(path)) == digest
    other = tmp_path / "other"
    other.write_bytes(b"bbbb")
    _settle(other)
    second.content(other)
    second.save()
    assert Digests(TREE, file).known_meaning(path, TREE.stat(path)) == digest
