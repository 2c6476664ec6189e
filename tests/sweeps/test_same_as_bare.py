"""With a seed and one job: the parameters that Optuna draws when nobody stands between."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import KnownTrial, Objective, Sweep
from mlbench.sweeps.study import OptunaStudy
from tests.sweeps.spaces import BASE, SWEEP, curve, pruned_by, sampled_by, score

TRIALS = 30
COST = Objective("cost", "minimize")
PRUNERS: dict[str, dict[str, Any]] = {
    "NopPruner": {},
    "MedianPruner": {"n_startup_trials": 3},
    # Which trials it compares hangs on the study's name.
    "HyperbandPruner": {"max_resource": 4, "reduction_factor": 2},
}


def sample(trial: optuna.Trial) -> dict[str, Any]:
    """The space of the tests' sweep, as a user of Optuna writes it."""
    params: dict[str, Any] = {
        "train.alpha": trial.suggest_float("train.alpha", 1e-5, 1e-1, log=True),
        "train.trees": trial.suggest_int("train.trees", 10, 1000, log=True),
        "train.depth": trial.suggest_int("train.depth", 2, 12, step=2),
        "train.drop": trial.suggest_float("train.drop", 0.0, 0.5, step=0.1),
        "train.solver": trial.suggest_categorical("train.solver", ["adam", "sgd", "lbfgs"]),
    }
    if params["train.solver"] == "sgd":
        params["train.momentum"] = trial.suggest_float("train.momentum", 0.0, 0.99)
    if params["train.solver"] != "lbfgs":
        params["train.hidden"] = trial.suggest_categorical("train.hidden", ["[32]", "[64, 64]"])
    params["train.batch"] = trial.suggest_categorical("train.batch", [32, 64, 128])
    return params


def cost(params: dict[str, Any]) -> float:
    return float(params["train.trees"] * params["train.depth"])


def bare(
    sampler: optuna.samplers.BaseSampler, pruner: str = "NopPruner", *, constrained: bool = False
) -> list[optuna.trial.FrozenTrial]:
    def objective(trial: optuna.Trial) -> float:
        params = sample(trial)
        for step, value in curve(params):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        if constrained:
            trial.set_constraint("cost", cost(params) - 1500)
        return score(params)

    made = getattr(optuna.pruners, pruner)(**PRUNERS[pruner])
    study = optuna.create_study(
        direction="maximize", study_name="small", sampler=sampler, pruner=made
    )
    study.optimize(objective, n_trials=TRIALS)
    return study.trials


def ours(journal: Path, sweep: Sweep, *, constrained: bool = False) -> tuple[KnownTrial, ...]:
    study = OptunaStudy.open(journal, sweep, BASE)
    for _ in range(TRIALS):
        number, params = study.ask()
        for step, value in curve(params):
            study.report(number, step, value)
            if study.should_prune(number):
                study.prune(number)
                break
        else:
            constraints = {"cost": cost(params) - 1500} if constrained else {}
            study.complete(number, [score(params)], constraints)
    return study.known()


def flat(params: Any) -> dict[str, Any]:
    """A list as the text that Optuna has of it."""
    return {name: str(one) if isinstance(one, list) else one for name, one in params.items()}


@pytest.mark.parametrize("pruner", list(PRUNERS))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("TPESampler", {"seed": 7}),
        ("TPESampler", {"seed": 7, "multivariate": True, "group": True, "n_startup_trials": 5}),
        ("RandomSampler", {"seed": 11}),
    ],
)
def test_the_trials_are_those_of_bare_optuna(
    tmp_path: Path, name: str, options: dict[str, Any], pruner: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        theirs = bare(getattr(optuna.samplers, name)(**options), pruner)
    sweep = pruned_by(sampled_by(SWEEP, name, **options), pruner, **PRUNERS[pruner])

    trials = ours(tmp_path / "journal.log", sweep)

    assert [flat(trial.params) for trial in trials] == [trial.params for trial in theirs]
    assert [list(trial.values) for trial in trials] == [trial.values for trial in theirs]
    assert [trial.intermediate for trial in trials] == [one.intermediate_values for one in theirs]
    # Else nothing that matters was compared.
    pruned = sum(trial.state is TrialState.PRUNED for trial in trials)
    assert (pruned > 0) is (pruner != "NopPruner")
    assert 0 < sum("train.momentum" in trial.params for trial in trials) < TRIALS


def test_constraints_lead_the_sampler_as_they_lead_bare_optuna(tmp_path: Path) -> None:
    theirs = bare(optuna.samplers.TPESampler(seed=5), constrained=True)

    sweep = sampled_by(SWEEP, "TPESampler", seed=5)
    trials = ours(tmp_path / "journal.log", sweep, constrained=True)

    assert [flat(trial.params) for trial in trials] == [trial.params for trial in theirs]
    assert [trial.constraints for trial in trials] == [trial.constraints for trial in theirs]
    assert {trial.constraints["cost"] <= 0 for trial in trials} == {True, False}


def test_several_objectives_are_drawn_for_as_bare_optuna_does(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        params = sample(trial)
        return score(params), cost(params)

    theirs = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.NSGAIISampler(seed=2, population_size=8),
    )
    theirs.optimize(objective, n_trials=TRIALS)

    sweep = sampled_by(SWEEP, "NSGAIISampler", seed=2, population_size=8)
    sweep = replace(sweep, objectives=(*SWEEP.objectives, COST))
    study = OptunaStudy.open(tmp_path / "journal.log", sweep, BASE)
    for _ in range(TRIALS):
        number, params = study.ask()
        study.report(number, 0, 1.0)
        assert not study.should_prune(number)
        study.complete(number, [score(params), cost(dict(params))], {})

    assert [flat(one.params) for one in study.known()] == [one.params for one in theirs.trials]
    assert [list(one.values) for one in study.known()] == [one.values for one in theirs.trials]
