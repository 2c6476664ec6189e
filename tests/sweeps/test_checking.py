"""What Optuna would trip over in the middle of a study is refused in a sentence before it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from mlbench.domain.errors import SweepError
from mlbench.domain.sweeps import Dimension, Objective, Range, Sweep
from mlbench.sweeps.checking import check
from mlbench.sweeps.study import OptunaStudy
from tests.sweeps.spaces import BASE, QUICK, QUICK_BASE, SWEEP, pruned_by, sampled_by

TWO = replace(SWEEP, objectives=(*SWEEP.objectives, Objective("cost", "minimize")))
STEPPED = replace(
    QUICK, space=(Dimension("x", Range(0.0, 1.0, step=0.25)), Dimension("c", choices=("a", "b")))
)
FLAT = replace(QUICK, space=(Dimension("x", Range(0.0, 1.0)), Dimension("y", Range(0.0, 1.0))))


def refused(sweep: Sweep) -> str:
    with pytest.raises(SweepError) as caught:
        check(sweep)
    text = str(caught.value)
    assert text.startswith("sweep small: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("TPESamplr", {}, 'has no sampler TPESamplr (did you mean "TPESampler"?); it has Brute'),
        ("BaseSampler", {}, "has no sampler BaseSampler"),
        ("MedianPruner", {}, "has no sampler MedianPruner"),
        ("TPESampler", {"n_startup": 3}, 'no option n_startup (did you mean "n_startup_trials"?)'),
        ("TPESampler", {"n_startup_trials": "5"}, "n_startup_trials is a whole number, not '5'"),
        ("TPESampler", {"n_startup_trials": 5.5}, "is a whole number, not 5.5"),
        ("TPESampler", {"seed": True}, "seed is a whole number, not True"),
        ("TPESampler", {"multivariate": 1}, "multivariate is true or false, not 1"),
        ("TPESampler", {"gamma": 0.1}, "gamma is Python code, which mlbench.toml can't give"),
        ("TPESampler", {"constraints_func": "f"}, "write constraints = [...] in the sweep instead"),
        (
            "TPESampler",
            {"group": True, "multivariate": False},
            "TPESampler: `group` option can only",
        ),
        ("RandomSampler", {"seed": -1}, "RandomSampler: Seed must be between 0 and"),
        ("GridSampler", {"search_space": {}}, "no search_space here: it is the sweep's own space"),
        ("GridSampler", {}, "train.alpha: a sampler that tries every value needs a step there"),
        ("BruteForceSampler", {}, "train.alpha: a sampler that tries every value needs a step"),
        ("NSGAIISampler", {"crossover": "UniformCrosover"}, 'did you mean "UniformCrossover"?'),
        ("NSGAIISampler", {"crossover": 3}, 'crossover is a name or a table { name = "…", … }'),
        ("PartialFixedSampler", {"fixed_params": {}}, "needs its option base_sampler"),
        ("QMCSampler", {"qmc_type": "sobl"}, "is invalid"),
    ],
)
def test_a_sampler_that_optuna_would_not_make(
    name: str, options: dict[str, Any], says: str
) -> None:
    assert says in refused(sampled_by(SWEEP, name, **options))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("Median", {}, 'pruner: Optuna has no pruner Median (did you mean "MedianPruner"?)'),
        ("NopPruner", {"x": 1}, "NopPruner has no option x; it has none"),
        ("PercentilePruner", {}, "PercentilePruner needs its option percentile"),
        ("PatientPruner", {}, "PatientPruner needs its option patience"),
        ("PatientPruner", {"patience": 1, "wrapped_pruner": "Medan"}, "has no pruner Medan"),
        ("ThresholdPruner", {}, "ThresholdPruner: Either lower or upper must be specified"),
        ("HyperbandPruner", {"max_resource": 1.5}, "is a text or a whole number, not 1.5"),
    ],
)
def test_a_pruner_that_optuna_would_not_make(name: str, options: dict[str, Any], says: str) -> None:
    assert says in refused(pruned_by(SWEEP, name, **options))


def test_several_objectives_are_not_pruned_by() -> None:
    assert "MedianPruner can't prune by several objectives" in refused(
        pruned_by(TWO, "MedianPruner")
    )
    check(TWO)


@pytest.mark.parametrize(
    ("dimension", "says"),
    [
        (Dimension("a", choices=("[1]", [1])), "can't tell [1] from another choice"),
        (Dimension("a", choices=(1, True)), "a: Optuna can't tell true from another choice"),
        (Dimension("a", choices=(None,)), "a: None is no text, number, true or false"),
        (Dimension("a"), "a has no choices"),
        (Dimension("a", Range(2.0, 1.0)), "a: `low <= high` must hold"),
        (Dimension("a", Range(0.0, 1.0, log=True)), "a: `low > 0` must hold"),
    ],
)
def test_a_dimension_that_optuna_can_not_draw_from(dimension: Dimension, says: str) -> None:
    assert says in refused(replace(SWEEP, space=(dimension,)))


def test_a_grid_too_large_to_be_held_is_refused() -> None:
    space = tuple(Dimension(name, Range(1, 1000, is_whole=True)) for name in "abc")
    sweep = sampled_by(replace(SWEEP, space=space), "GridSampler")
    assert "1,000,000,000 combinations, too many for GridSampler" in refused(sweep)


def test_an_empty_space_is_refused() -> None:
    assert "nothing to try" in refused(replace(SWEEP, space=()))


def is_there(name: str) -> bool:
    needed = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}
    return name not in needed or importlib.util.find_spec(needed[name]) is not None


SAMPLERS = [name for name in dir(optuna.samplers) if name.endswith("Sampler")]
# It takes seconds to load what it needs.
SLOW = "GPSampler"
OPTIONS: dict[str, dict[str, Any]] = {
    "NSGAIISampler": {"population_size": 3, "crossover": {"name": "SBXCrossover", "eta": 2.0}},
    "NSGAIIISampler": {"population_size": 3, "mutation": "PolynomialMutation"},
    "PartialFixedSampler": {
        "fixed_params": {"x": 0.25},
        "base_sampler": {"name": "TPESampler", "n_startup_trials": 2},
    },
}


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize(
    "name", [name for name in SAMPLERS if not name.startswith("Base") and name != SLOW]
)
def test_each_sampler_of_optuna_is_refused_with_a_reason_or_draws(
    tmp_path: Path, name: str, objectives: int
) -> None:
    space = STEPPED if name in ("GridSampler", "BruteForceSampler") else FLAT
    sweep = sampled_by(replace(space, objectives=TWO.objectives[:objectives]), name)
    sweep = sampled_by(sweep, name, **OPTIONS.get(name, {}))
    if not is_there(name) and (name != "CmaEsSampler" or objectives == 1):
        assert " -m pip install " in refused(sweep)
        return
    if name == "CmaEsSampler" and objectives == 2:
        assert "CmaEsSampler has one objective, not 2" in refused(sweep)
        return
    draws(tmp_path, sweep)


@pytest.mark.long
def test_a_sampler_with_heavy_packages_draws(tmp_path: Path) -> None:
    sweep = sampled_by(QUICK, SLOW, n_startup_trials=2, seed=1)
    if not is_there(SLOW):
        assert "GPSampler needs torch" in refused(sweep)
    else:
        draws(tmp_path, sweep)


@pytest.mark.parametrize(
    "name", [name for name in dir(optuna.pruners) if name.endswith("Pruner") and name[0] != "B"]
)
def test_each_pruner_of_optuna_decides(tmp_path: Path, name: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "PercentilePruner": {"percentile": 25.0},
        "ThresholdPruner": {"lower": 0},
        "PatientPruner": {"patience": 1, "wrapped_pruner": {"name": "MedianPruner"}},
    }
    sweep = pruned_by(QUICK, name, **needed.get(name, {}))
    check(sweep)
    study = OptunaStudy.open(tmp_path / "journal.log", sweep, QUICK_BASE)
    pruned = 0
    for trial in range(12):
        number, _ = study.ask()
        for step in range(8):
            study.report(number, step, -float(trial * 100 + step))
            if study.should_prune(number):
                study.prune(number)
                pruned += 1
                break
        else:
            study.complete(number, [-float(trial)], {})
    assert (pruned > 0) is (name != "NopPruner")


def draws(tmp_path: Path, sweep: Sweep) -> None:
    check(sweep)
    study = OptunaStudy.open(tmp_path / "journal.log", sweep, BASE)
    for trial in range(5):
        number, _ = study.ask()
        study.complete(number, [float(trial)] * len(sweep.objectives), {"size": trial - 2.0})
    assert len(study.known()) == 5
