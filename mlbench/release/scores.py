"""The usual metrics of a model's answers, as scikit-learn defines them, in numpy alone: pure.

They are scored for the original and for the exported model alike, so that a gate can hold the
latter to what the former promised; the user's own metrics stand beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlbench.release.answers import Answers, Array, alike, keys_of

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the rows really are: `y` (n, or n x targets) and the classes in the scores' order."""

    y: Array | None
    classes: Array | None = None


def scored(truth: Truth, answers: Answers) -> dict[str, float]:
    """Every metric that can be told, by name; nothing where the truth is not known.

    A classifier has accuracy, balanced_accuracy, precision, recall, f1 (of two classes those of
    the second, of more the unweighted mean over classes), and, where its scores are probabilities,
    log_loss and roc_auc (of more than two classes the mean of one against the rest). A regressor
    has r2, rmse, mae, max_error and mape, over several targets their mean. Left out is what has no
    value, such as roc_auc where a class is missing.
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
    metrics = {"accuracy": float(right.mean()), **_by_class(true, predicted, len(classes))}
    scores = answers.scores
    if scores is not None and scores.shape[1] == len(classes) and _are_shares(scores):
        metrics["log_loss"] = _log_loss(true, scores)
        metrics["roc_auc"] = _roc_auc(true, scores)
    return metrics


def _places(y: Array, label: Array, classes: Array) -> tuple[Array, Array]:
    """The place of each label among the classes; others get places behind these, by first use."""
    true, predicted, known = keys_of(y, label, classes)
    places = {key: place for place, key in enumerate(known)}
    true_places = [places.setdefault(key, len(places)) for key in true]
    predicted_places = [places.setdefault(key, len(places)) for key in predicted]
    return np.array(true_places), np.array(predicted_places)


def _by_class(true: Array, predicted: Array, known: int) -> dict[str, float]:
    """Metrics of the table of true and predicted classes; 0 for 0 of 0, as scikit-learn warns."""
    size = int(max(true.max(), predicted.max(), known - 1)) + 1
    table = np.zeros((size, size))
    np.add.at(table, (true, predicted), 1)
    hits, trues, predictions = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    recall, precision = _share(hits, trues), _share(hits, predictions)
    f1 = _share(2 * hits, trues + predictions)
    chosen = np.array([1]) if size == known == 2 else np.flatnonzero(trues + predictions)
    return {
        "balanced_accuracy": float(recall[trues > 0].mean()),
        "precision": float(precision[chosen].mean()),
        "recall": float(recall[chosen].mean()),
        "f1": float(f1[chosen].mean()),
    }


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _are_shares(scores: Array) -> bool:
    """Whether scores are probabilities of classes that exclude each other."""
    if not np.isfinite(scores).all() or scores.min() < 0:
        return False
    return bool(np.abs(scores.sum(axis=1) - 1).max() <= _SUM_TOLERANCE)


def _log_loss(true: Array, scores: Array) -> float:
    """The mean of -log(p) of the true class, p cut off at float64's rounding from 0 and 1."""
    if true.max() >= scores.shape[1]:
        return math.nan
    smallest = float(np.finfo(np.float64).eps)
    chosen = np.clip(scores[np.arange(len(true)), true], smallest, 1 - smallest)
    return float(-np.log(chosen).mean())


def _roc_auc(true: Array, scores: Array) -> float:
    """How often a row of a class scores higher than another; Mann-Whitney's U, ties count half."""
    width = scores.shape[1]
    columns = [1] if width == 2 else range(width)
    counts = np.bincount(true, minlength=width)
    if len(counts) > width or (counts == 0).any():
        return math.nan
    return float(np.mean([_auc(true == column, scores[:, column]) for column in columns]))


def _auc(positive: Array, scores: Array) -> float:
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places.reshape(-1)]
    hits = int(positive.sum())
    others = len(positive) - hits
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * others))


def _of_regressor(y: Array, scores: Array) -> dict[str, float]:
    true = y.reshape(len(y), -1).astype(np.float64)
    if true.shape != scores.shape:
        return {}
    error = scores - true
    sizes = np.abs(error)
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            "r2": _r2(true, error),
            "rmse": float(np.sqrt((error**2).mean(axis=0)).mean()),
            "mae": float(sizes.mean()),
            "max_error": float(sizes.max()),
            "mape": float((sizes / np.maximum(np.abs(true), np.finfo(np.float64).eps)).mean()),
        }


def _r2(true: Array, error: Array) -> float:
    """The share of the variance that is explained; 1 or 0 where the truth does not vary."""
    if len(true) < 2:
        return math.nan
    left = (error**2).sum(axis=0)
    whole = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    constant = np.where(left == 0, 1.0, 0.0)
    varying = 1 - np.divide(left, whole, out=np.zeros_like(left), where=whole > 0)
    return float(np.where(whole > 0, varying, constant).mean())
