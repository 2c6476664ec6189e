"""A sweep's job slot: whatever a trial does to its copy, the next one finds the project's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.pipeline.snapshots.trial_slot import SweepBase, TrialSlot
from mlbench.system.files import remove
from tests.pipeline.lab import Lab

_PARAMS = {"train.rate": 0.25}
# What is in the project, below it and beside it; where a stage's outs lie is among it.
_NAMES = ("data.txt", "pkg", "pkg/rule.py", "link", "build", "params.toml", "new", "new/deep", "")
_DEEDS = ("write", "append", "remove", "folder", "link", "close", "open", "rename", "fifo")
Deed = tuple[str, str]


def _do(root: Path, deed: str, name: str, elsewhere: Path) -> None:
    """What a stage may do to a path, where it can."""
    path = root / name
    if path.is_fifo() and deed in ("write", "append"):
        # It would wait for a reader.
        return
    try:
        match deed:
            case "write":
                path.write_text("of a trial")
            case "append":
                with path.open("a") as file:
                    file.write("more")
            case "remove" if name:
                remove(path)
            case "folder" if name:
                remove(path)
                (path / "inner").mkdir(parents=True)
                (path / "inner" / "file").write_text("left")
            case "link" if name:
                remove(path)
                path.symlink_to(elsewhere)
            case "close":
                path.chmod(0o500)
            case "open":
                path.chmod(0o777)
            case "rename" if name:
                path.rename(root / "renamed")
            case "fifo":
                os.mkfifo(path)
    except OSError:
        return


def _state(root: Path) -> Iterator[tuple[str, int, str]]:
    """Every path with its mode and what it holds, but for mlbench's own."""
    yield "", os.lstat(root).st_mode, ""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != ".mlbench"]
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            held = ""
            if stat.S_ISLNK(mode):
                held = os.readlink(path)
            elif stat.S_ISREG(mode):
                held = Path(path).read_text()
            yield os.path.relpath(path, root), mode, held


def _slot(lab: Lab, number: int = 1) -> tuple[SweepBase, TrialSlot]:
    base = SweepBase(lab.layout, "study")
    project = base.take(lab.workspace, lab.project, lab.project.stages)
    return base, base.slot(number, lab.workspace, project)


@settings(max_examples=40, deadline=None)
@given(
    trials=st.lists(
        st.lists(st.tuples(st.sampled_from(_DEEDS), st.sampled_from(_NAMES)), max_size=5),
        min_size=1,
        max_size=3,
    )
)
def test_nothing_of_a_trial_reaches_the_next(
    tmp_path_factory: pytest.TempPathFactory, trials: list[list[Deed]]
) -> None:
    lab, elsewhere = Lab(tmp_path_factory.mktemp("slots")), tmp_path_factory.mktemp("elsewhere")
    lab.fill()
    (lab.root / "link").symlink_to("data.txt")
    stages = lab.project.stages
    base, slot = _slot(lab)
    slot.prepare(stages, _PARAMS)
    first = sorted(_state(slot.root))
    outside = sorted(_state(base.snapshot.tree))
    for deeds in trials:
        for deed, name in deeds:
            _do(slot.root, deed, name, elsewhere)
        slot.prepare(stages, _PARAMS)
        assert sorted(_state(slot.root)) == first
    assert sorted(_state(base.snapshot.tree)) == outside
    slot.release()
    base.release()
