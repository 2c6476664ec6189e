"""Studies with boards on disk as a coordinator writes them, made in a moment: nothing is run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mlbench.domain.clock import utc
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import (
    Component,
    Dimension,
    Objective,
    Progress,
    Range,
    Study,
    Sweep,
    Trial,
)
from mlbench.engine.study_files import StudyFiles
from mlbench.project.layout import Layout
from tests.support import SmallProject

# What stands in the project's files is read by others; here the studies alone matter.
CONFIG = """\
[project]
name = "swept"
jobs = 2
objective = "maximize accuracy"

[stages.train]
cmd = "true"
frozen = true
params = ["train"]
"""
SPACE = (
    Dimension("train.alpha", Range(1e-5, 1e-1, log=True)),
    Dimension("train.hidden", None, (32, 64, 128)),
    Dimension("train.solver", None, ("sgd", "adam")),
    Dimension("train.momentum", Range(0.0, 0.99), when="train.solver == 'sgd'"),
)
SWEEP = Sweep(
    "small", "train", (Objective("accuracy", "maximize"),), SPACE, 30, 2,
    Component("TPESampler", {"seed": 7}), Component("MedianPruner", {"n_warmup_steps": 5}),
)  # fmt: skip
BASE = {"train.alpha": 0.01, "train.hidden": 32, "train.solver": "adam", "train.momentum": 0.9}
# The first study's moment, in seconds since the epoch; the others follow by the hour.
BEGAN = 1_795_000_000.0


def study_id(number: int) -> str:
    return f"20261118-{number:02d}0000-{number:06x}"


def trial(number: int, state: TrialState = TrialState.COMPLETE, **fields: object) -> Trial:
    """Trial `number` as it would have ended; the thirteenth is the best of the first thirty."""
    began = BEGAN + 10 * number
    solver = "sgd" if number % 3 == 0 else "adam"
    params = {
        "train.alpha": 10 ** (-5 + (number * 37 % 40) / 10),
        "train.hidden": (32, 64, 128)[number % 3],
        "train.solver": solver,
        **({"train.momentum": 0.1 + number % 9 / 10} if solver == "sgd" else {}),
    }
    value = 0.9 + 0.08 * math.cos((number - 13) / 9)
    ended = state.has_ended
    made = Trial(
        number, state, params,
        values=(value,) if state is TrialState.COMPLETE else (),
        runs=(f"20261118-120000-{number:06x}",) if ended else (),
        started=utc(began), ended=utc(began + 7.5) if ended else "",
        seconds=7.25 if ended else 0.0,
        stage="" if ended else "train",
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


def stepped(number: int, steps: int, state: TrialState = TrialState.RUNNING) -> list[Trial]:
    """The lines of a trial that reported by step."""
    return [
        trial(number, state, step=step, intermediate=0.5 + 0.4 * (1 - 0.8**step) - number % 5 / 50)
        for step in range(1, steps + 1)
    ]


def first_trials(count: int) -> list[Trial]:
    """Trials as most are: complete, some pruned, one failed."""
    made: list[Trial] = []
    for number in range(count):
        if number % 7 == 3:
            made += stepped(number, 6)
            reason = "worse at step 6 than the median"
            made.append(trial(number, TrialState.PRUNED, step=6, intermediate=0.6, reason=reason))
        elif number == 5:
            made.append(
                trial(number, TrialState.FAILED, reason="train: exit status 1: out of memory")
            )
        else:
            made += stepped(number, 4)
            made.append(trial(number))
    return made


def write_study(
    root: Path,
    trials: Iterable[Trial],
    *,
    number: int = 1,
    sweep: Sweep = SWEEP,
    progress: Progress | None = None,
) -> StudyFiles:
    """A study on disk with these trials on its board, ended unless `progress` says otherwise."""
    files = StudyFiles(Layout(root), study_id(number))
    began = utc(BEGAN + 3600 * (number - 1))
    files.write_study(Study(files.id, sweep, began, BASE, {"code:train.py": "a"}))
    files.write_progress(progress or Progress("ended", 1, "all 30 trials have ended", True))
    files.write_trials(trials)
    return files


def make_swept(root: Path) -> SmallProject:
    """A project whose one stage never runs."""
    project = SmallProject(root)
    project.write("mlbench.toml", CONFIG)
    project.write(
        "params.toml", '[train]\nalpha = 0.01\nhidden = 32\nsolver = "adam"\nmomentum = 0.9\n'
    )
    (root / ".mlbench").mkdir(exist_ok=True)
    return project
