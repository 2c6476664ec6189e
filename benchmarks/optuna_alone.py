"""The limit: a bare Optuna loop in one process that calls the functions of the sample's stages.

`python -m benchmarks.optuna_alone PROJECT TRIALS JOBS SAMPLER_SEED` prints one JSON object with
`seconds` of the loop and the parameters of its `trials`. Jobs are Optuna's own, threads.
"""

from __future__ import annotations

import functools
import io
import json
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import optuna

ALPHA, LEARNING_RATE = (1e-4, 1.0), (1e-4, 1e-2)


def main(words: list[str]) -> int:
    """Prepare once, then try."""
    os.chdir(words[0])
    sys.path.insert(0, words[0])
    trials, jobs, seed = map(int, words[1:])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.perf_counter()
    objective = _prepared()
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    study.optimize(objective, n_trials=trials, n_jobs=jobs)
    seconds = time.perf_counter() - began
    tried = [trial.params for trial in study.get_trials(deepcopy=False)]
    print(json.dumps({"seconds": seconds, "trials": tried}))
    return 0


def _prepared() -> Any:
    """What one trial does, on rows that are split once."""
    prepare = __import__("prepare")
    params = tomllib.loads(Path("params.toml").read_text(encoding="utf-8"))
    digits = prepare.read_digits(Path("data/digits.csv"))
    parts = prepare.split_rows(digits.y, params["prepare"]["test_fraction"], params["seed"])
    train, test = (prepare.Digits(digits.X[part], digits.y[part]) for part in parts)
    return functools.partial(_tried, params, train, test)


def _tried(params: Any, train: Any, test: Any, trial: optuna.Trial) -> float:
    model, train_stage, evaluate = map(__import__, ("model", "train", "evaluate"))
    settings = dict(params["train"])
    settings["alpha"] = trial.suggest_float("train.alpha", *ALPHA, log=True)
    settings["learning_rate"] = trial.suggest_float("train.learning_rate", *LEARNING_RATE, log=True)
    epochs = settings.pop("epochs")
    pipeline = model.build_model(**settings, seed=params["seed"])
    for _ in train_stage.train_epochs(pipeline, train.X, train.y, epochs):
        pass
    predicted = pipeline.predict(test.X)
    evaluate.draw_confusion(test.y, predicted).savefig(io.BytesIO(), dpi=100)
    return float(evaluate.score(test.y, predicted)["accuracy"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
