"""The model: pixels on a common scale, then a small neural network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler


def build_model(
    *, hidden: Sequence[int], alpha: float, learning_rate: float, batch_size: int, seed: int
) -> Pipeline:
    """An untrained pipeline that takes rows of raw pixels."""
    network = MLPClassifier(
        hidden_layer_sizes=tuple(hidden),
        alpha=alpha,
        learning_rate_init=learning_rate,
        batch_size=batch_size,
        # A generator, not the number: partial_fit would shuffle alike in every epoch.
        random_state=np.random.RandomState(seed),
    )
    return Pipeline([("scale", StandardScaler()), ("network", network)])
