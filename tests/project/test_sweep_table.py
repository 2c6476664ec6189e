"""`[sweeps.NAME]`: what a sweep is, and a sentence with its place for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.domain.errors import ProjectFileError
from mlbench.domain.sweeps import Component, Dimension, Objective, Range, Sweep
from mlbench.project.config import load_project
from mlbench.project.layout import Layout

STAGES = """\
[project]
objective = "minimize error"
[stages.prepare]
cmd = "prepare"
params = ["prepare"]
outs = ["rows"]
[stages.train]
cmd = "train"
deps = ["rows"]
params = ["train", {"other.yaml" = ["net.depth"]}]
outs = ["model"]
[stages.report]
cmd = "report"
deps = ["model"]
params = ["report.width"]
"""
HEAD = '[sweeps.s]\nstage = "train"\nobjective = "maximize accuracy"\n'
LINE = STAGES.count("\n") + 1


def read(root: Path, text: str) -> Sweep:
    (root / "mlbench.toml").write_text(STAGES + text)
    (sweep,) = load_project(Layout(root)).sweeps
    return sweep


def test_every_key_is_read(tmp_path: Path) -> None:
    sweep = read(
        tmp_path,
        """
        [sweeps.s]
        stage = "train"
        objective = ["maximize accuracy", "minimize val/loss"]
        trials = 30
        jobs = 2
        sampler = { name = "TPESampler", seed = 7, multivariate = true }
        pruner = "MedianPruner"
        intermediate = "minimize loss"
        constraints = ["seconds <= 60"]
        timeout = "2h"
        patience = 20
        repeats = 3
        seed = "train.seed"
        [sweeps.s.space]
        "train.momentum" = { low = 0.0, high = 0.99, when = "train.solver == 'sgd'" }
        "train.alpha" = { low = 1e-5, high = 1, log = true }
        "train.solver" = ["sgd", "adam"]
        "train.hidden" = { choices = [[32], [64, 64]] }
        "other.yaml:net.depth" = { low = 1, high = 9, step = 2 }
        train.batch = { low = 16, high = 512, log = true }
        """,
    )
    assert sweep == Sweep(
        name="s",
        stage="train",
        objectives=(Objective("accuracy", "maximize"), Objective("val/loss", "minimize")),
        space=(
            Dimension("train.alpha", Range(1e-5, 1.0, log=True)),
            Dimension("train.solver", choices=("sgd", "adam")),
            Dimension("train.momentum", Range(0.0, 0.99), when="train.solver == 'sgd'"),
            Dimension("train.hidden", choices=([32], [64, 64])),
            Dimension("other.yaml:net.depth", Range(1, 9, step=2, is_whole=True)),
            Dimension("train.batch", Range(16, 512, log=True, is_whole=True)),
        ),
        trials=30,
        jobs=2,
        sampler=Component("TPESampler", {"seed": 7, "multivariate": True}),
        pruner=Component("MedianPruner"),
        constraints=("seconds <= 60",),
        timeout=7200.0,
        patience=20,
        repeats=3,
        seeds=("train.seed",),
        intermediate=Objective("loss", "minimize"),
    )


def test_what_is_not_said_is_usual(tmp_path: Path) -> None:
    sweep = read(tmp_path, '[sweeps.s]\nstage = "train"\nspace.train.alpha = [1, 2]\n')
    assert sweep.objectives == (Objective("error", "minimize"),)
    assert (sweep.trials, sweep.jobs, sweep.repeats, sweep.patience) == (50, None, 1, None)
    assert sweep.watched == sweep.objectives[0]


def test_a_metric_alone_is_watched_in_the_direction_of_the_objective(tmp_path: Path) -> None:
    sweep = read(tmp_path, f'{HEAD}intermediate = "val/accuracy"\nspace.train.alpha = [1, 2]\n')
    assert sweep.watched == Objective("val/accuracy", "maximize")


def test_a_project_without_sweeps_has_none(tmp_path: Path) -> None:
    (tmp_path / "mlbench.toml").write_text(STAGES)
    assert load_project(Layout(tmp_path)).sweeps == ()


SPACE = "[sweeps.s.space]\n"
BAD = {
    "an unknown key": (f"{HEAD}trails = 3\n", 3, 's.trails: unknown key (did you mean "trials"?)'),
    "no stage": ("[sweeps.s]\n", 0, "s.stage: a sweep needs the stage"),
    "another stage": (
        '[sweeps.s]\nstage = "trian"\nspace.train.a = [1, 2]\n',
        1,
        's.stage: there is no stage "trian" (did you mean "train"?)',
    ),
    "a direction": (
        '[sweeps.s]\nstage = "train"\nobjective = "maximise accuracy"\n',
        2,
        's.objective: "maximise accuracy" must be "maximize METRIC" or "minimize METRIC" '
        '(did you mean "maximize"?)',
    ),
    "no metric": (
        '[sweeps.s]\nstage = "train"\nobjective = "maximize "\n',
        2,
        's.objective: "maximize " must be',
    ),
    "an objective twice": (
        '[sweeps.s]\nstage = "train"\nobjective = ["minimize a", "minimize a"]\n',
        2,
        "s.objective: has one metric twice",
    ),
    "no trials": (f"{HEAD}trials = 0\n{SPACE}a = [1]\n", 3, "s.trials: must be 1 or more"),
    "a sampler without a name": (
        f"{HEAD}sampler = {{ seed = 7 }}\n{SPACE}train.a = [1]\n",
        3,
        's.sampler: must be a name such as "TPESampler", or a table with name and options',
    ),
    "a constraint": (
        f"{HEAD}constraints = ['open(1)']\n{SPACE}train.a = [1]\n",
        3,
        's.constraints: "open(1)": there is no function open',
    ),
    "no space": (HEAD, 0, "s.space: a sweep needs a parameter to vary"),
    "a value": (f"{HEAD}{SPACE}'train.a' = 3\n", 4, "s.space.train.a: must be a list of choices"),
    "a misspelled key": (
        f"{HEAD}{SPACE}'train.a' = {{ lo = 1, high = 2 }}\n",
        4,
        's.space.train.a.lo: unknown key (did you mean "low"?)',
    ),
    "no high": (f"{HEAD}{SPACE}train.a = {{ low = 1 }}\n", 4, "a.high: a range needs high"),
    "a bound of text": (
        f"{HEAD}{SPACE}train.a = {{ low = '1', high = 2 }}\n",
        4,
        "s.space.train.a.low: must be a number",
    ),
    "the wrong way round": (
        f"{HEAD}{SPACE}train.a = {{ low = 3, high = 2 }}\n",
        4,
        "s.space.train.a: low (3) must be less than high (2)",
    ),
    "the logarithm of 0": (
        f"{HEAD}{SPACE}train.a = {{ low = 0.0, high = 2.0, log = true }}\n",
        4,
        "s.space.train.a: a logarithmic range begins above 0",
    ),
    "log and step": (
        f"{HEAD}{SPACE}train.a = {{ low = 1, high = 9, step = 2, log = true }}\n",
        4,
        "s.space.train.a: a logarithmic range has no step",
    ),
    "a long step": (
        f"{HEAD}{SPACE}train.a = {{ low = 1, high = 9, step = 10 }}\n",
        4,
        "s.space.train.a: step (10) must be above 0 and no more than high - low",
    ),
    "no choices": (f"{HEAD}{SPACE}train.a = []\n", 4, "s.space.train.a: there must be a choice"),
    "a choice twice": (f"{HEAD}{SPACE}train.a = [1, 1.0]\n", 4, "train.a: 1.0 is there twice"),
    "a date": (f"{HEAD}{SPACE}train.a = [2026-01-01]\n", 4, "train.a: 2026-01-01 can't be a"),
    "choices and a range": (
        f"{HEAD}{SPACE}train.a = {{ choices = [1], low = 1 }}\n",
        4,
        "s.space.train.a.choices: are all that there is",
    ),
    "a parameter twice": (
        f"{HEAD}{SPACE}'train.a' = [1]\ntrain.a = [2]\n",
        4,
        "s.space.train.a: is there twice",
    ),
    "no expression": (
        f"{HEAD}{SPACE}train.a = {{ choices = [1], when = 'train.b =' }}\n",
        4,
        's.space.train.a.when: "train.b =": not an expression',
    ),
    "a condition on nobody": (
        f"{HEAD}{SPACE}train.a = {{ choices = [1], when = '1 == 1' }}\n",
        4,
        "names no parameter",
    ),
    "a condition on itself": (
        f"{HEAD}{SPACE}train.a = {{ choices = [1], when = 'train.a == 1' }}\n",
        4,
        "depends on train.a itself",
    ),
    "a circle": (
        f"{HEAD}{SPACE}train.a = {{ choices = [1], when = 'train.b == 1' }}\n"
        "train.b = { choices = [1], when = 'train.a == 1' }\n",
        4,
        "conditions wait for each other in a circle: train.",
    ),
    "a condition on what is not there": (
        f"{HEAD}{SPACE}'train.a' = {{ choices = [1], when = 'trian.b == 1' }}\n"
        "'train.b' = [1, 2]\n",
        4,
        's.space.train.a.when: there is no parameter trian.b (did you mean "train.b"?)',
    ),
    "what no stage reads": (
        f"{HEAD}{SPACE}'tarin.a' = [1]\n",
        4,
        "s.space.tarin.a: no stage that it runs reads this parameter "
        '(did you mean "train"?); prepare reads prepare; train reads train, other.yaml:net.depth',
    ),
    "what another stage reads": (
        f"{HEAD}{SPACE}'report.width' = [1]\n",
        4,
        "report alone read it, which a trial of train does not run",
    ),
    "another file's key": (
        f"{HEAD}{SPACE}'net.depth' = [1]\n",
        4,
        'no stage that it runs reads this parameter (did you mean "other.yaml:net.depth"?)',
    ),
    "a seed that nobody reads": (
        f"{HEAD}seed = 'sed'\n{SPACE}'train.a' = [1]\n",
        3,
        "s.seed: no stage reads a parameter sed",
    ),
}


@pytest.mark.parametrize(("text", "after", "message"), BAD.values(), ids=BAD)
def test_a_fault_says_what_where_and_what_to_do(
    tmp_path: Path, text: str, after: int, message: str
) -> None:
    with pytest.raises(ProjectFileError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"mlbench.toml:{LINE + after}: sweeps.")


def test_another_file_can_say_how_many_trials(tmp_path: Path) -> None:
    (tmp_path / "mlbench.local.toml").write_text("[sweeps.s]\ntrials = 3\njobs = 0\n")
    with pytest.raises(ProjectFileError, match=r"mlbench\.local\.toml:3: sweeps\.s\.jobs: must be"):
        read(tmp_path, f"{HEAD}{SPACE}'train.a' = [1]\n")
