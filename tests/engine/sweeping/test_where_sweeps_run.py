"""A sweep beside other things: resources to wait for, worktrees, folders in folders, no git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Trial
from mlbench.project.layout import Layout
from mlbench.system.processes import ending_in
from tests.engine.sweeping.evidence import faults, gather
from tests.engine.sweeping.quick_sweep import (
    NAME,
    begun_study,
    coordinate,
    newest,
    score,
    write_quick,
)
from tests.support import SmallProject, commit_all, until

# Each training says when it ran, and on what.
_NOTES_TIMES = """
import os
with open({times!r}, "a") as times:
    print(began, time.time(), os.environ.get("CUDA_VISIBLE_DEVICES"), file=times)
"""
_WAITS = """
import os
Path({there!r}).touch()
while not os.path.exists({go!r}):
    time.sleep(0.01)
"""


def _board(root: Path) -> list[Trial]:
    return [trial for _, trial in sorted(newest(root).trials().items())]


@pytest.mark.parametrize("kind", ["gpu", pytest.param("memory", marks=pytest.mark.long)])
def test_trials_take_turns_where_there_is_room_for_one(
    root: Path, count: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    times = tmp_path / "times"
    project = write_quick(root, count, trials=4, pause=0.01)
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6
    wanted = "gpu = 1" if kind == "gpu" else f'memory = "{megabytes * 2 // 3}MB"'
    at = "[stages.evaluate]"
    config = project.read("mlbench.toml").replace(at, f"resources = {{ {wanted} }}\n\n{at}", 1)
    project.write("mlbench.toml", config)
    training = project.read("train.py").replace(
        "import mlbench", "import mlbench\nbegan = time.time()"
    )
    project.write("train.py", training + _NOTES_TIMES.format(times=str(times)))
    begun = begun_study(root)
    assert coordinate(begun, root) == 0
    assert faults(gather(begun, root, count), 4, score) == []
    rows = sorted(line.split() for line in times.read_text().splitlines())
    assert len(rows) == 4
    assert {gpu for _, _, gpu in rows} == {"3"}
    assert all(float(end) <= float(start) for (_, end, _), (start, _, _) in pairwise(rows))
    trials = begun.trials().values()
    assert {trial.slot for trial in trials} == {1, 2}
    layout = Layout(root)
    for trial in trials:
        endings = [
            ending_in(layout.stage_folder(trial.runs[0], name)) for name in ("train", "evaluate")
        ]
        # What it takes by itself: no more than its commands took, whatever it waited for.
        assert trial.seconds == pytest.approx(
            sum(ending.seconds for ending in endings if ending is not None), abs=0.001
        )


def _begun_by(project: SmallProject, *words: str) -> list[str]:
    """The stages of which a run begins commands."""
    done = project.cli("run", *words)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("▶")]


@contextmanager
def _sweeping(folder: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "mlbench", "sweep", NAME]
    with subprocess.Popen(
        words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as face:
        yield face
        _, told = face.communicate()
    assert face.returncode == 0, told


def _waiting(project: SmallProject, folder: Path) -> tuple[Path, Path]:
    """Have each training of the sweep wait for a file; gives that, and what shows that one does."""
    there, go = folder / "there", folder / "go"
    waits = _WAITS.format(there=str(there), go=str(go))
    training = project.read("train.py")
    project.write("train.py", training.replace("rows = Path", f"{waits}\nrows = Path", 1))
    return there, go


def test_a_run_in_the_project_is_none_of_the_sweep_s(
    root: Path, count: Path, tmp_path: Path
) -> None:
    project = write_quick(root, count, trials=4)
    training = project.read("train.py")
    there, go = _waiting(project, tmp_path)
    with _sweeping(root):
        until(there.exists)
        # Other code, other parameters; run in the tree while a trial is under way.
        project.write("train.py", training.replace("len(rows)", "len(rows) + 50"))
        project.write("params.toml", "[train]\nx = 0.25\nsize = 2\npause = 0.0\n")
        assert len(_begun_by(project)) == 2
        built = (root / "build" / "metrics.json").read_bytes()
        go.touch()
    assert faults(gather(newest(root), root, count), 4, score) == []
    assert (root / "build" / "metrics.json").read_bytes() == built
    assert b"53" in built
    assert _begun_by(project) == []


def _values(trial: Trial) -> list[str]:
    return [word for name, value in trial.params.items() for word in ("--set", f"{name}={value!r}")]


def test_what_a_sweep_made_is_made_for_good(root: Path, count: Path) -> None:
    project = write_quick(root, count, trials=4)
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    trials = _board(root)
    worst, best = (pick(trials, key=lambda trial: trial.values) for pick in (min, max))
    assert _begun_by(project, *_values(worst)) == []
    # Of one that never ran in the project's own tree.
    done = project.cli("restore", worst.runs[0])
    assert done.returncode == 0, done.stderr
    x, size = worst.params["train.x"], worst.params["train.size"]
    assert project.read("build/model.json") == f"[{x}, {size}, 3]"
    done = project.cli("sweep", NAME, "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    applied = tomllib.loads(project.read("params.toml"))["train"]
    assert {f"train.{key}": applied[key] for key in ("x", "size")} == best.params
    assert _begun_by(project) == []
    assert project.read("build/model.json") == f"[{applied['x']}, {applied['size']}, 3]"
    assert count.read_text() == "once\n"


@pytest.mark.parametrize("has_git", [True, False])
def test_a_project_in_a_folder_of_its_own(tmp_path: Path, count: Path, has_git: bool) -> None:
    top = tmp_path / "top"
    root = (top / "models" / "quick").resolve()
    project = write_quick(root, count, trials=2)
    shutil.rmtree(root / ".git")
    # What lies above the project is none of it.
    (top / "beside.txt").write_text("beside")
    project.write("lib/rows.py", "def count(rows):\n    return len(rows)\n")
    training = project.read("train.py").replace("len(rows)", "count(rows)")
    project.write(
        "train.py", training.replace("import mlbench", "import mlbench\nfrom lib.rows import count")
    )
    if has_git:
        commit_all(top)
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    assert faults(gather(newest(root), root, count), 2, score) == []
    assert {trial.state for trial in _board(root)} == {TrialState.COMPLETE}


def test_a_sweep_in_a_worktree_is_one_of_its_code(root: Path, count: Path, tmp_path: Path) -> None:
    project = write_quick(root, count, trials=2)
    assert len(_begun_by(project)) == 3
    other = SmallProject((tmp_path / "other").resolve())
    subprocess.run(["git", "worktree", "add", "-q", str(other.root)], cwd=root, check=True)
    other.write("train.py", other.read("train.py").replace("len(rows)", "len(rows) + 10"))
    done = other.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    values = [trial.values[0] for trial in newest(other.root).trials().values()]
    assert len(values) == 2
    assert all(value > 12 for value in values)
    # What all share was made in the home already.
    assert count.read_text() == "once\n"
    assert _begun_by(project) == []


@pytest.mark.long
def test_on_the_spot_the_stage_that_nothing_is_built_on_is_run(root: Path, count: Path) -> None:
    project = write_quick(root, count, trials=2)
    words = ("--over", "train.x=0.25,0.5", "--maximize", "score", "--trials", "2", "spot")
    done = project.cli("sweep", *words)
    assert done.returncode == 0, done.stderr
    study = newest(root).study()
    assert study is not None
    assert (study.name, study.sweep.stage) == ("spot", "evaluate")
    assert all(trial.state is TrialState.COMPLETE for trial in _board(root))


def _age(folder: Path) -> None:
    """Have nobody used the cache for a day."""
    for path in folder.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)


@pytest.mark.long
def test_outs_of_the_best_trials_are_kept(root: Path, count: Path) -> None:
    project = write_quick(root, count, trials=7)
    done = project.cli("sweep", NAME)
    assert done.returncode == 0, done.stderr
    by_worth = sorted(_board(root), key=lambda trial: trial.values, reverse=True)
    _age(root / ".mlbench" / "cache")
    done = project.cli("gc", "--size", "1B")
    assert done.returncode == 0, done.stderr
    for place in (0, 4, 5):
        params = by_worth[place].params
        done = project.cli("restore", by_worth[place].runs[0])
        assert done.returncode == 0, done.stderr
        model = f"[{params['train.x']}, {params['train.size']}, 3]"
        assert (project.read("build/model.json") == model) is (place < 5)
        assert ("train is stale here" in done.stdout) is (place == 5)
