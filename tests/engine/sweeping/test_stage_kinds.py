"""Every kind of stage in a sweep: each trial gets the inputs that the sweep began with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import Trial
from mlbench.engine.study_files import StudyFiles
from tests.engine.sweeping.quick_sweep import NAME, begun_study, coordinate
from tests.support import SmallProject, commit_all

_QUICK = "python -S -E"
_CONFIG = f"""\
[project]
name = "kinds"

[stages.fetch]
cmd = "{_QUICK} fetch.py"
outs = ["build/fetched.txt"]
always_changed = true

[stages.label]
cmd = "{_QUICK} label.py"
outs = ["build/labels.txt"]
metrics = ["build/labels.json"]
frozen = true

[stages.unpack]
cmd = "{_QUICK} unpack.py"
deps = ["build/fetched.txt"]
outs = [
  {{ "build/unpacked" = {{ cache = false }} }},
  {{ "build/state.txt" = {{ persist = true }} }},
]

[stages.train]
cmd = "python train.py"
deps = ["build/unpacked", "build/labels.txt"]
params = ["train.x"]
outs = [
  "build/model.txt",
  {{ "build/large.txt" = {{ cache = false }} }},
  {{ "build/checkpoint.txt" = {{ persist = true, cache = false }} }},
]

[stages.evaluate]
cmd = "{_QUICK} evaluate.py"
deps = ["build/model.txt", "build/large.txt", "build/checkpoint.txt"]
metrics = ["build/metrics.json"]
isolate = true

[sweeps.quick]
stage = "evaluate"
objective = "maximize score"
trials = 3
jobs = 2
sampler = {{ name = "RandomSampler", seed = 3 }}
[sweeps.quick.space]
"train.x" = {{ low = 1, high = 1000 }}
"""
# What counts runs lies outside of the project: each snapshot would have one of its own.
_COUNTED = """\
import os
with open({count!r}, "a+") as count:
    count.write("x")
    count.seek(0)
    number = len(count.read())
os.makedirs("build", exist_ok=True)
"""
_FETCH = _COUNTED + "open('build/fetched.txt', 'w').write(str(number))\n"
_LABEL = """\
open('build/labels.txt', 'w').write('1')
open('build/labels.json', 'w').write('{"labels": 1}')
"""
_UNPACK = (
    _COUNTED
    + """\
os.makedirs("build/unpacked")
open("build/unpacked/a", "w").write(open("build/fetched.txt").read())
open("build/state.txt", "a").write("x")
"""
)
# Neither the module nor what it reads is declared, and git ignores the latter.
_TRAIN = """\
import os, tomllib
from helper import factor
x = tomllib.load(open("params.toml", "rb"))["train"]["x"]
before = open("build/checkpoint.txt").read() if os.path.exists("build/checkpoint.txt") else ""
labels, unpacked = open("build/labels.txt").read(), open("build/unpacked/a").read()
open("build/checkpoint.txt", "w").write(before + f"{x};")
open("build/model.txt", "w").write(f"{labels} {unpacked} {factor()} {x}")
open("build/large.txt", "w").write(str(x))
"""
_HELPER = "def factor():\n    return int(open('more/factor.txt').read())\n"
_EVALUATE = """\
import json
labels, unpacked, factor, x = map(int, open("build/model.txt").read().split())
assert open("build/large.txt").read() == str(x)
went_through = open("build/checkpoint.txt").read()
score = x * factor + labels * 10_000 + unpacked * 100_000
json.dump({"score": score, "passes": went_through.count(";")}, open("build/metrics.json", "w"))
"""


class Kinds:
    """A project with one stage of each kind."""

    def __init__(self, folder: Path) -> None:
        self.root = (folder / "kinds").resolve()
        self.fetched, self.unpacked = folder / "fetched", folder / "unpacked"
        self.project = project = SmallProject(self.root)
        project.write("mlbench.toml", _CONFIG)
        project.write("params.toml", "[train]\nx = 5\n")
        project.write("fetch.py", _FETCH.format(count=str(self.fetched)))
        project.write("label.py", _LABEL)
        project.write("unpack.py", _UNPACK.format(count=str(self.unpacked)))
        project.write("train.py", _TRAIN)
        project.write("helper.py", _HELPER)
        project.write("evaluate.py", _EVALUATE)
        project.write(".gitignore", "build/\nmore/\n")
        project.write("more/factor.txt", "7")
        commit_all(self.root)

    def run(self) -> None:
        """Build everything in the project itself."""
        done = self.project.cli("run")
        assert done.returncode == 0, done.stderr

    def edit_everything(self) -> None:
        self.project.write("more/factor.txt", "100000")
        self.project.write("helper.py", "def factor():\n    return 200_000\n")
        self.project.write("build/checkpoint.txt", "1;2;3;4;")
        self.project.write("build/labels.txt", "9")
        self.project.write("build/unpacked/a", "9")

    def sweep(self, files: StudyFiles, trials: int) -> list[Trial]:
        """Go on with a study until it has so many trials."""
        study = files.study()
        assert study is not None
        files.write_study(replace(study, sweep=replace(study.sweep, trials=trials)))
        assert coordinate(files, self.root) == 0
        return [trial for _, trial in sorted(files.trials().items())]


def _times(count: Path) -> int:
    return len(count.read_text()) if count.exists() else 0


def _is_right(fetched: int, passes: int) -> Callable[[Trial], bool]:
    """Whether a trial came to what it comes to from what was there as the sweep began."""

    def holds(trial: Trial) -> bool:
        score = trial.params["train.x"] * 7 + 10_000 + fetched * 100_000
        return trial.values == (score,) and trial.metrics["passes"] == passes

    return holds


def test_after_a_run_every_stage_goes_on_from_what_that_left(tmp_path: Path) -> None:
    kinds = Kinds(tmp_path)
    kinds.run()
    # It would be stale; but it is frozen.
    kinds.project.write("label.py", _LABEL.replace("'1'", "'5'"))
    files = begun_study(kinds.root)
    trials = kinds.sweep(files, 3)
    # One was there already, with each trial's own pass behind it.
    assert [*filter(_is_right(2, 2), trials)] == trials
    assert (_times(kinds.fetched), _times(kinds.unpacked)) == (2, 2)
    kinds.edit_everything()
    trials = kinds.sweep(files, 7)
    assert [*filter(_is_right(2, 2), trials)] == trials
    assert len(trials) == 7
    assert (_times(kinds.fetched), _times(kinds.unpacked)) == (2, 2)


def test_without_a_run_before_they_are_built_once(tmp_path: Path) -> None:
    kinds = Kinds(tmp_path)
    kinds.project.write(".gitignore", "build/\n")
    commit_all(kinds.root)
    files = begun_study(kinds.root)
    trials = kinds.sweep(files, 3)
    assert [*filter(_is_right(1, 1), trials)] == trials
    # A run in the project gives another result of the same inputs, which is none of the sweep's.
    kinds.run()
    trials = kinds.sweep(files, 5)
    assert [*filter(_is_right(1, 1), trials)] == trials
    assert (_times(kinds.fetched), _times(kinds.unpacked)) == (2, 2)
    assert not (kinds.root / "build" / "checkpoint.txt").read_text().count(";") > 1


@pytest.mark.long
def test_what_persists_begins_anew_in_each_repeat(tmp_path: Path) -> None:
    kinds = Kinds(tmp_path)
    config = kinds.project.read("mlbench.toml").replace("trials = 3", "trials = 2\nrepeats = 2")
    config = config.replace('["train.x"]', '["train.x", "train.seed"]')
    kinds.project.write("mlbench.toml", config)
    kinds.project.write("params.toml", "[train]\nx = 5\nseed = 1\n")
    kinds.run()
    trials = kinds.sweep(begun_study(kinds.root), 2)
    assert [len(trial.runs) for trial in trials] == [2, 2]
    assert [*filter(_is_right(2, 2), trials)] == trials
    assert all(trial.state is TrialState.COMPLETE for trial in trials)


@pytest.mark.parametrize("frozen", ["train", "evaluate"])
def test_a_parameter_that_only_what_is_frozen_reads_is_refused(tmp_path: Path, frozen: str) -> None:
    kinds = Kinds(tmp_path)
    config = kinds.project.read("mlbench.toml")
    kinds.project.write(
        "mlbench.toml", config.replace(f"[stages.{frozen}]", f"[stages.{frozen}]\nfrozen = true")
    )
    done = kinds.project.cli("sweep", NAME)
    assert done.returncode == 2
    assert f"train.x changes nothing in evaluate, for {frozen} is frozen" in done.stderr
