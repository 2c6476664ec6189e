"""Where the kernel tells nobody: looking again and again, at what counts alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.pipeline.watching.ignored import Ignored
from mlbench.pipeline.watching.mounts import Mounts
from mlbench.pipeline.watching.pending import Change
from mlbench.pipeline.watching.places import places
from mlbench.pipeline.watching.polling import changes, stamps
from tests.pipeline.watched import Watched

LOOKS = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    for name in ("train.py", "src/model.py", "data/raw/rows.csv", "src/node_modules/x/y.js"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x = 1\n")
    (root / ".gitignore").write_text("node_modules\n")
    return root


@pytest.fixture
def nfs(root: Path) -> Iterator[Watched]:
    """The whole project on another machine."""
    watched = Watched(root, mounts=Mounts({"/": "ext4", str(root): "nfs4"}))
    yield watched
    watched.watch.stop()


def test_a_project_on_another_machine_is_polled_from_the_start_and_that_is_said(
    nfs: Watched,
) -> None:
    assert nfs.watch.detail == (
        "polling the project once a second: nfs4 tells of no change that another machine makes"
    )
    (nfs.root / "train.py").write_text("x = 2\n")
    assert {p for call in nfs.until("train.py") for p in call} == {"train.py"}


def test_new_gone_and_renamed_files_are_seen_by_polling(nfs: Watched) -> None:
    (nfs.root / "src" / "model.py").rename(nfs.root / "src" / "renamed.py")
    (nfs.root / "fresh").mkdir()
    (nfs.root / "fresh" / "a.py").write_text("x")
    (nfs.root / "src" / "node_modules" / "x" / "z.js").write_text("x")
    told = {path for call in nfs.until("fresh/a.py") for path in call}
    assert told == {"src/model.py", "src/renamed.py", "fresh/a.py"}


def test_one_folder_on_another_machine_is_polled_and_the_rest_watched(root: Path) -> None:
    watched = Watched(root, mounts=Mounts({"/": "ext4", str(root / "data"): "fuse.sshfs"}))
    assert watched.watch.detail.startswith("polling data once a second: fuse.sshfs ")
    (root / "src" / "model.py").write_text("x = 2\n")
    watched.until("src/model.py")
    (root / "data" / "raw" / "rows.csv").write_text("2\n")
    watched.until("data/raw/rows.csv")
    watched.watch.stop()


def test_a_new_ignore_file_counts_for_polling_too(nfs: Watched) -> None:
    (nfs.root / ".gitignore").write_text("node_modules\ndata\n")
    nfs.until_everything()
    (nfs.root / "data" / "raw" / "rows.csv").write_text("22\n")
    (nfs.root / "train.py").write_text("x = 22\n")
    assert {path for call in nfs.until("train.py") for path in call} == {"train.py"}


def test_a_look_sees_every_file_that_counts_and_no_other(root: Path) -> None:
    looked = stamps(tuple(places(Ignored(root, ()))))
    assert set(looked) == {".gitignore", "train.py", "src/model.py", "data/raw/rows.csv"}


def test_same_size_and_time_in_another_file_is_a_change(root: Path) -> None:
    where = tuple(places(Ignored(root, ())))
    before, path = stamps(where), root / "train.py"
    time = path.stat().st_mtime_ns
    (root / "other").write_text("y = 1\n")
    os.utime(root / "other", ns=(time, time))
    (root / "other").rename(path)
    assert changes(before, stamps(where)) == [("train.py", Change.SAVED)]


@given(LOOKS, LOOKS)
def test_exactly_what_differs_between_two_looks_is_a_change(
    before: dict[str, tuple[int, int, int]], now: dict[str, tuple[int, int, int]]
) -> None:
    found = dict(changes(before, now))
    for name in "abcdef":
        assert (name in found) == (before.get(name) != now.get(name))
        assert (found.get(name) is Change.GONE) == (name in before and name not in now)
