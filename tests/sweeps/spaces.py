"""Sweeps that the tests of studies try, and what each trial of them comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mlbench.domain.sweeps import Component, Dimension, Objective, Range, Sweep

BASE = {
    "train.alpha": 0.01,
    "train.trees": 100,
    "train.depth": 4,
    "train.drop": 0.1,
    "train.solver": "adam",
    "train.momentum": 0.9,
    "train.hidden": [32],
    "train.batch": 64,
}
SPACE = (
    Dimension("train.alpha", Range(1e-5, 1e-1, log=True)),
    Dimension("train.trees", Range(10, 1000, log=True, is_whole=True)),
    Dimension("train.depth", Range(2, 12, step=2, is_whole=True)),
    Dimension("train.drop", Range(0.0, 0.5, step=0.1)),
    Dimension("train.solver", choices=("adam", "sgd", "lbfgs")),
    Dimension("train.momentum", Range(0.0, 0.99), when="train.solver == 'sgd'"),
    Dimension("train.hidden", choices=([32], [64, 64]), when="params.train.solver != 'lbfgs'"),
    Dimension("train.batch", choices=(32, 64, 128)),
)
MAXIMIZE = Objective("accuracy", "maximize")
SWEEP = Sweep("small", "train", (MAXIMIZE,), SPACE)
QUICK = replace(
    SWEEP,
    space=(Dimension("x", Range(0.0, 1.0)), Dimension("n", Range(1, 9, is_whole=True))),
    sampler=Component("RandomSampler", {"seed": 3}),
)
QUICK_BASE = {"x": 0.5, "n": 3}


def sampled_by(sweep: Sweep, name: str, **options: Any) -> Sweep:
    return replace(sweep, sampler=Component(name, options))


def pruned_by(sweep: Sweep, name: str, **options: Any) -> Sweep:
    return replace(sweep, pruner=Component(name, options))


def score(params: Mapping[str, Any]) -> float:
    """Better for a small alpha, many trees, and sgd with momentum."""
    hidden = params.get("train.hidden", [1])
    width = len(hidden) if isinstance(hidden, list) else hidden.count(",") + 1
    return float(
        1.0
        - params["train.alpha"] * 5
        + params["train.trees"] / 2000
        - abs(params["train.depth"] - 6) / 20
        + params["train.drop"] / 3
        + params.get("train.momentum", 0.2) / 4
        + width / 50
        - params["train.batch"] / 1000
    )


def curve(params: Mapping[str, Any]) -> Iterable[tuple[int, float]]:
    """How the score comes about."""
    return ((step, score(params) * (1 - 0.5 ** (step + 1))) for step in range(4))
