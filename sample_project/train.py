"""Train the digit classifier, logging its loss after every epoch."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import joblib
import mlbench
import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from model import build_model


def train_epochs(
    model: Pipeline, X: NDArray[np.float32], y: NDArray[np.int64], epochs: int
) -> Iterator[float]:
    """Train the model in place and yield its mean loss after each epoch.

    X holds the pixels (rows x 64), y the digit of each row.
    """
    scaled = model["scale"].fit_transform(X)
    digits = np.unique(y)
    for _ in range(epochs):
        model["network"].partial_fit(scaled, y, classes=digits)
        yield float(model["network"].loss_)


def main() -> None:
    """Read build/train.npz, write build/model.joblib."""
    params = tomllib.loads(Path("params.toml").read_text())
    settings = dict(params["train"])
    epochs = settings.pop("epochs")
    rows = np.load("build/train.npz")

    model = build_model(**settings, seed=params["seed"])
    for epoch, loss in enumerate(train_epochs(model, rows["X"], rows["y"], epochs), start=1):
        mlbench.log(loss=loss, step=epoch)
        print(f"epoch {epoch:3}  loss {loss:.4f}", flush=True)

    joblib.dump(model, "build/model.joblib")


if __name__ == "__main__":
    main()
