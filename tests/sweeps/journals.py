"""Journals of studies that bare Optuna made, for whoever only looks at them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

Direction = Literal["minimize", "maximize"]
Objective = Callable[[optuna.Trial], float | tuple[float, ...]]


def write_journal(
    path: Path,
    objective: Objective,
    trials: int,
    directions: Sequence[Direction] = ("maximize",),
    name: str = "small",
) -> Path:
    study = optuna.create_study(
        study_name=name,
        storage=JournalStorage(JournalFileBackend(str(path))),
        sampler=optuna.samplers.RandomSampler(seed=3),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3)
        if len(directions) == 1
        else optuna.pruners.NopPruner(),
        directions=list(directions),
    )
    study.optimize(objective, n_trials=trials, catch=(RuntimeError,))
    return path


def alpha_alone(trial: optuna.Trial) -> float:
    """Best at alpha = 1e-3; nothing else matters."""
    alpha = trial.suggest_float("train.alpha", 1e-5, 1e-1, log=True)
    trial.suggest_categorical("train.hidden", [32, 64])
    return -abs(math.log10(alpha) + 3)


def with_conditions(trial: optuna.Trial) -> float:
    """As above, with a parameter that not every trial has, pruned ones, and one that fails."""
    value = alpha_alone(trial)
    if trial.suggest_categorical("train.solver", ["sgd", "adam"]) == "sgd":
        value += trial.suggest_float("train.momentum", 0.0, 0.99) / 100
    for step in range(3):
        trial.report(value * (3 - step), step)
        if step and trial.should_prune():
            raise optuna.TrialPruned
    if trial.number == 4:
        raise RuntimeError
    trial.set_constraint("seconds <= 60", trial.number % 5 - 3.5)
    return value


def two_objectives(trial: optuna.Trial) -> tuple[float, float]:
    """x is paid for by y; z matters for the second alone."""
    x, z = trial.suggest_float("x", 0, 1), trial.suggest_float("z", 0, 1)
    return x, x + 10 * z
