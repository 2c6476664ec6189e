"""The usual metrics of a model's answers, as scikit-learn defines them: pure.

They are scored for the original and for the exported model alike, so that a gate can hold the
latter to what the former promised; the user's own metrics stand beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlbench.release import measures
from mlbench.release.answers import Answers, Array, alike, keys_of
from mlbench.release.measures import Codes

_OF_NUMBERS = ("r2", "rmse", "mae", "max_error", "mape")


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the rows really are: `y` (n, or n x targets) and the classes in the scores' order."""

    y: Array | None
    classes: Array | None = None


def scored(truth: Truth, answers: Answers) -> dict[str, float]:
    """Every metric that can be told, by name; nothing where the truth is not known.

    A classifier has accuracy, balanced_accuracy, precision, recall, f1 (of two classes those of
    the second, of more the unweighted mean over classes; 0 for 0 of 0), and, where its scores are
    probabilities, log_loss and roc_auc (of more than two classes the mean of one against the rest).
    A regressor has r2, rmse, mae, max_error and mape, over several targets their mean, but the
    largest error of all. Left out is what has no value, such as roc_auc where a class is missing,
    or r2 where the truth does not vary.
    """
    if truth.y is None or not answers.rows or len(truth.y) != answers.rows:
        return {}
    if answers.label is not None:
        found = _of_classifier(truth, answers)
    elif answers.scores is not None and truth.y.dtype.kind in "biuf":
        found = _of_regressor(truth.y, answers.scores)
    else:
        found = {}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _of_classifier(truth: Truth, answers: Answers) -> dict[str, float]:
    assert truth.y is not None
    assert answers.label is not None
    rows = len(truth.y)
    y, label = truth.y.reshape(rows, -1), answers.label.reshape(rows, -1)
    if y.shape != label.shape:
        return {}
    right = alike(y, label).all(axis=1)
    if y.shape[1] > 1:
        return {"accuracy": float(right.mean())}
    classes = np.empty(0, dtype=y.dtype) if truth.classes is None else truth.classes
    true, predicted = _places(y[:, 0], label[:, 0], classes)
    size = int(max(true.max(), predicted.max(), len(classes) - 1)) + 1
    positive = 1 if size == len(classes) == 2 else None
    metrics = {
        name: _or_zero(measure(true, predicted, size, positive))
        for name, measure in measures.OF_LABELS.items()
    }
    scores = answers.scores
    if scores is None or not scores.shape[1] == len(classes) == size:
        return metrics
    if measures.are_shares(scores):
        metrics["log_loss"] = measures.log_loss(true, scores)
        metrics["roc_auc"] = measures.roc_auc(true, scores, positive)
    return metrics


def _places(y: Array, label: Array, classes: Array) -> tuple[Codes, Codes]:
    """The place of each label among the classes; others get places behind these, by first use."""
    true, predicted, known = keys_of(y, label, classes)
    places = {key: place for place, key in enumerate(known)}
    true_places = [places.setdefault(key, len(places)) for key in true]
    predicted_places = [places.setdefault(key, len(places)) for key in predicted]
    return np.array(true_places), np.array(predicted_places)


def _or_zero(value: float) -> float:
    """What scikit-learn gives, with a warning, where nothing is, or is predicted, positive."""
    return 0.0 if math.isnan(value) else value


def _of_regressor(y: Array, scores: Array) -> dict[str, float]:
    true = y.reshape(len(y), -1).astype(np.float64)
    if true.shape != scores.shape:
        return {}
    found = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for name in _OF_NUMBERS:
            measure = measures.OF_VALUES[name]
            of_targets = [measure(*pair) for pair in zip(true.T, scores.T, strict=True)]
            found[name] = max(of_targets) if name == "max_error" else float(np.mean(of_targets))
    return found
