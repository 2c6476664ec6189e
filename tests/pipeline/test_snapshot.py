"""A snapshot holds what stages need, and nothing that happens in it reaches the project."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlbench.inside
from mlbench.pipeline.environment import snapshot_environment
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.project.layout import Layout
from tests.pipeline.snapshots import FILES, OWN, PREPARE, PROJECT, TRAIN, fill, names_in, write
from tests.support import commit_all


@pytest.fixture(params=["git", "no git"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    root = fill(tmp_path / "project")
    if request.param == "git":
        (root / "notes.txt").unlink()
        commit_all(root)
        write(root, "notes.txt", FILES["notes.txt"])
    return root


@pytest.fixture
def snapshot(root: Path) -> Iterator[Snapshot]:
    snapshot = Snapshot(Layout(root), "test")
    assert snapshot.try_acquire()
    yield snapshot
    snapshot.release()


def test_it_holds_the_projects_files_and_what_the_stages_name_and_nothing_else(
    snapshot: Snapshot,
) -> None:
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert names_in(snapshot.tree) == OWN | {"params.toml", "build/clean.csv"}
    snapshot.bring_up_to_date([PREPARE], PROJECT)
    assert names_in(snapshot.tree) == OWN | {"data/raw.csv"}
    snapshot.bring_up_to_date([PREPARE, TRAIN], PROJECT, also=["scratch.txt", "absent", "/etc/x"])
    assert names_in(snapshot.tree) == OWN | {
        "data/raw.csv", "params.toml", "build/clean.csv", "scratch.txt",
    }  # fmt: skip


def test_every_file_has_its_bytes_mode_and_time(root: Path, snapshot: Snapshot) -> None:
    (root / "train.py").chmod(0o750)
    (root / "notes.txt").chmod(0o440)
    os.utime(root / "data/raw.csv", ns=(1_000_000_007, 1_500_000_000_000_000_009))
    snapshot.bring_up_to_date([PREPARE], PROJECT)
    for name in names_in(snapshot.tree):
        source, copy = (root / name).stat(), (snapshot.tree / name).stat()
        assert (snapshot.tree / name).read_bytes() == (root / name).read_bytes()
        assert stat.S_IMODE(copy.st_mode) == stat.S_IMODE(source.st_mode)
        assert copy.st_mtime_ns == source.st_mtime_ns
        assert copy.st_ino != source.st_ino


def test_only_what_changed_is_copied_again(root: Path, snapshot: Snapshot) -> None:
    for name in FILES:
        os.utime(root / name)
    first = snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert set(first.copied) >= OWN
    settle(snapshot)
    write(root, "train.py", "x = 2\n")
    (root / "notes.txt").unlink()
    write(root, "new.py", "")
    update = snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert set(update.copied) == {"train.py", "new.py"}
    assert set(update.removed) == {"notes.txt"}
    assert (snapshot.tree / "train.py").read_text() == "x = 2\n"


def settle(snapshot: Snapshot) -> None:
    """Until every file is old enough for its stat to tell of a change, so that none is copied."""
    while snapshot.bring_up_to_date([TRAIN], PROJECT).copied:
        pass


def test_an_edit_that_keeps_size_and_time_is_seen(root: Path, snapshot: Snapshot) -> None:
    settle(snapshot)
    path = root / "train.py"
    before = path.stat()
    path.write_text("x = 7\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert (snapshot.tree / "train.py").read_text() == "x = 7\n"


def test_what_a_stage_did_to_its_copy_is_put_right_and_the_project_never_saw_it(
    root: Path, snapshot: Snapshot
) -> None:
    settle(snapshot)
    tree = snapshot.tree
    with (tree / "pkg/deep/rule.py").open("r+") as file:
        file.write("z")
    (tree / "notes.txt").unlink()
    (tree / "train.py").unlink()
    (tree / "train.py").mkdir()
    write(tree, "stray/deep/file.txt", "left")
    write(tree, "build/model.bin", "an out")
    (tree / "stray").chmod(0o500)
    (tree / "link").symlink_to(root)
    write(tree, "pkg/__pycache__/other.cpython-311.pyc", "kept")
    update = snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert set(update.copied) == {"pkg/deep/rule.py", "notes.txt", "train.py"}
    assert set(update.removed) == {"train.py", "stray", "build/model.bin", "link"}
    assert names_in(tree) == OWN | {
        "params.toml", "build/clean.csv", "pkg/__pycache__/other.cpython-311.pyc",
    }  # fmt: skip
    for name, text in FILES.items():
        assert (root / name).read_text() == text


def test_bytecode_of_a_module_that_changed_goes(root: Path, snapshot: Snapshot) -> None:
    settle(snapshot)
    stale = write(snapshot.tree, "__pycache__/train.cpython-311.pyc", "of x = 1")
    other = write(snapshot.tree, "__pycache__/training.cpython-311.pyc", "of another")
    write(root, "train.py", "x = 2\n")
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert not stale.exists()
    assert other.exists()


def test_a_torn_manifest_costs_a_copy_and_no_more(root: Path, snapshot: Snapshot) -> None:
    settle(snapshot)
    (snapshot.folder / "manifest.json").write_text('{"version": 1, "files": {"tra')
    assert set(snapshot.bring_up_to_date([TRAIN], PROJECT).copied) >= OWN
    assert (snapshot.tree / "train.py").read_text() == "x = 1\n"


def test_a_slot_has_one_user_at_a_time(root: Path, snapshot: Snapshot) -> None:
    layout = Layout(root)
    assert not Snapshot(layout, "test").try_acquire()
    one = Snapshot.take_free(layout, "verify")
    other = Snapshot.take_free(layout, "verify")
    assert one.tree != other.tree
    one.release()
    again = Snapshot.take_free(layout, "verify")
    assert again.tree == one.tree
    other.release()
    again.release()


class EditedMeanwhile(Snapshot):
    """Somebody saves two files between the copying of the one and of the other."""

    edits = 2

    def _copy(self, source: Path, target: Path) -> Any:
        copied = super()._copy(source, target)
        if source.name == "rule.py" and self.edits:
            self.edits -= 1
            for name in ("pkg/deep/rule.py", "train.py"):
                write(self._layout.root, name, f"x = {self.edits}\n")
        return copied


def test_it_never_mixes_two_states_of_the_project(root: Path) -> None:
    snapshot = EditedMeanwhile(Layout(root), "test")
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert snapshot.edits == 0
    for name in ("pkg/deep/rule.py", "train.py"):
        assert (snapshot.tree / name).read_text() == "x = 0\n"


class WrittenMeanwhile(Snapshot):
    """A file is written to while it is copied, some times."""

    writes = 2

    def _clone(self, source: Path, found: os.stat_result) -> None:
        super()._clone(source, found)
        if source.name == "notes.txt" and self.writes:
            self.writes -= 1
            source.write_text(f"{self.writes} writes to come")


def test_a_file_that_is_written_to_while_it_is_copied_is_copied_again(root: Path) -> None:
    snapshot = WrittenMeanwhile(Layout(root), "test")
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    assert (snapshot.tree / "notes.txt").read_text() == "0 writes to come"


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "chmod", "tamper", "drop"]),
        st.sampled_from(["train.py", "pkg/deep/rule.py", "notes.txt", "data/raw.csv", "a/b", "a"]),
        st.text("ab", max_size=2),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(edits=EDITS)
def test_after_any_edits_it_is_what_a_new_one_would_be(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str, str]]
) -> None:
    root = tmp_path_factory.mktemp("edits").resolve()
    fill(root)
    kept = Snapshot(Layout(root), "kept")
    kept.bring_up_to_date([PREPARE], PROJECT)
    for number, (deed, name, text) in enumerate(edits):
        edit(kept.tree if deed in ("tamper", "drop") else root, deed, name, text)
        kept.bring_up_to_date([PREPARE], PROJECT)
        fresh = Snapshot(Layout(root), f"fresh-{number}")
        fresh.bring_up_to_date([PREPARE], PROJECT)
        assert content_of(kept.tree) == content_of(fresh.tree)


def edit(folder: Path, deed: str, name: str, text: str) -> None:
    path = folder / name
    if deed in ("remove", "drop"):
        if path.is_file():
            path.unlink()
    elif deed == "chmod":
        if path.is_file():
            path.chmod(0o755 if "a" in text else 0o644)
    elif not path.is_dir() and not path.parent.is_file():
        write(folder, name, text)


def content_of(tree: Path) -> dict[str, tuple[int, bytes]]:
    return {
        name: ((tree / name).stat().st_mode, (tree / name).read_bytes()) for name in names_in(tree)
    }


def test_modules_come_from_the_snapshot_and_not_from_the_project(
    root: Path, snapshot: Snapshot
) -> None:
    write(root, "src/inner/__init__.py", "")
    snapshot.bring_up_to_date([TRAIN], PROJECT)
    given = os.pathsep.join((str(root / "src"), "/elsewhere", "relative", str(root)))
    env = snapshot_environment({"PYTHONPATH": given, "A": "b"}, root, snapshot.tree)
    assert env["A"] == "b"
    tree = str(snapshot.tree)
    assert env["PYTHONPATH"].split(os.pathsep) == [tree, f"{tree}/src", "/elsewhere", "relative"]
    code = "import pkg.deep.rule as r, inner; print(r.__file__, inner.__file__, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(line.startswith(tree) for line in done.stdout.splitlines())


def test_mlbenchs_own_folder_stays_before_the_snapshot(root: Path, snapshot: Snapshot) -> None:
    own = str(Path(mlbench.inside.__file__).parent / "onpath")
    base = {"PYTHONPATH": os.pathsep.join((own, "/elsewhere"))}
    env = snapshot_environment(base, root, snapshot.tree)
    assert env["PYTHONPATH"].split(os.pathsep) == [own, str(snapshot.tree), "/elsewhere"]
    assert snapshot_environment(env, root, snapshot.tree) == env
