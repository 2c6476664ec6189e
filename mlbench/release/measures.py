"""What single metrics are over arrays of answers, in numpy: as scikit-learn, with its defaults.

Classes are counted from 0. NaN says that a metric is undefined on these rows: the recall of a class
that none of them has, the area under a curve of one class alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

_SUM_TOLERANCE = 1e-3

Codes = NDArray[np.int64]
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Of true classes, predicted ones, how many there are and the one that counts; None: all of them.
OfLabels = Callable[[Codes, Codes, int, "int | None"], float]


def accuracy(truth: Codes, predicted: Codes, _classes: int, _positive: int | None) -> float:
    """The share of rows that are predicted right."""
    return _share(truth == predicted, np.ones(len(truth), dtype=bool))


def balanced_accuracy(truth: Codes, predicted: Codes, classes: int, _: int | None) -> float:
    """The mean recall of the classes that the truth has."""
    hits, actual, _claimed = _counts(truth, predicted, classes)
    known = actual > 0
    return float(np.mean(hits[known] / actual[known])) if known.any() else np.nan


def precision(truth: Codes, predicted: Codes, classes: int, positive: int | None) -> float:
    """How many that are predicted positive are so; else the mean over classes, 0 for 0 of 0."""
    hits, actual, claimed = _counts(truth, predicted, classes)
    return _ratio_or_mean(hits, claimed, actual + claimed > 0, positive)


def recall(truth: Codes, predicted: Codes, classes: int, positive: int | None) -> float:
    """How many that are positive are predicted so; else the mean over classes, 0 for 0 of 0."""
    hits, actual, claimed = _counts(truth, predicted, classes)
    return _ratio_or_mean(hits, actual, actual + claimed > 0, positive)


def f1(truth: Codes, predicted: Codes, classes: int, positive: int | None) -> float:
    """The harmonic mean of precision and recall; else its mean over classes."""
    hits, actual, claimed = _counts(truth, predicted, classes)
    return _ratio_or_mean(2 * hits, actual + claimed, actual + claimed > 0, positive)


def true_negative_rate(truth: Codes, predicted: Codes, _: int, positive: int | None) -> float:
    """How many that are not positive are predicted so."""
    negative = truth != positive
    return _share(negative & (predicted != positive), negative)


def false_positive_rate(truth: Codes, predicted: Codes, _: int, positive: int | None) -> float:
    """How many that are not positive are predicted positive."""
    negative = truth != positive
    return _share(negative & (predicted == positive), negative)


def false_negative_rate(truth: Codes, predicted: Codes, _: int, positive: int | None) -> float:
    """How many that are positive are not predicted so."""
    actual = truth == positive
    return _share(actual & (predicted != positive), actual)


def selection_rate(_truth: Codes, predicted: Codes, _: int, positive: int | None) -> float:
    """How many are predicted positive."""
    return _share(predicted == positive, np.ones(len(predicted), dtype=bool))


def are_shares(scores: Values) -> bool:
    """Whether scores, rows × classes, are probabilities of classes that exclude each other."""
    if not np.isfinite(scores).all() or scores.min(initial=0.0) < 0:
        return False
    return bool(np.abs(scores.sum(axis=1) - 1).max(initial=0.0) <= _SUM_TOLERANCE)


def log_loss(truth: Codes, scores: Values) -> float:
    """The mean of -log of the score that the true class got; scores are shares, rows × classes."""
    least = np.finfo(np.float64).eps
    own = np.clip(scores[np.arange(len(truth)), truth], least, 1 - least)
    return _mean(-np.log(own))


def roc_auc(truth: Codes, scores: Values, positive: int | None = None) -> float:
    """The area under the ROC curve of one class; else the mean of each against the others."""
    if positive is not None:
        return _area(truth == positive, scores[:, positive])
    areas = [_area(truth == one, scores[:, one]) for one in range(scores.shape[1])]
    return _mean(np.array(areas))


def mae(truth: Values, predicted: Values) -> float:
    """The mean absolute error."""
    return _mean(np.abs(truth - predicted))


def mse(truth: Values, predicted: Values) -> float:
    """The mean squared error."""
    return _mean((truth - predicted) ** 2)


def rmse(truth: Values, predicted: Values) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(mse(truth, predicted)))


def max_error(truth: Values, predicted: Values) -> float:
    """The largest absolute error."""
    return float(np.max(np.abs(truth - predicted))) if len(truth) else np.nan


def mape(truth: Values, predicted: Values) -> float:
    """The mean absolute error relative to the truth; 0.1 is ten percent."""
    least = np.finfo(np.float64).eps
    return _mean(np.abs(truth - predicted) / np.maximum(np.abs(truth), least))


def r2(truth: Values, predicted: Values) -> float:
    """The share of the truth's variance that is explained; undefined where there is none."""
    spread = float(np.sum((truth - np.mean(truth)) ** 2)) if len(truth) > 1 else 0.0
    return 1.0 - float(np.sum((truth - predicted) ** 2)) / spread if spread else np.nan


def mean_prediction(_truth: Values, predicted: Values) -> float:
    """The mean of what is predicted."""
    return _mean(predicted)


OF_LABELS: Mapping[str, OfLabels] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
}
# Those that know a class that counts, and mean nothing without one.
OF_ONE_CLASS: Mapping[str, OfLabels] = {
    "true_positive_rate": recall,
    "true_negative_rate": true_negative_rate,
    "false_positive_rate": false_positive_rate,
    "false_negative_rate": false_negative_rate,
    "selection_rate": selection_rate,
}
OF_VALUES: Mapping[str, Callable[[Values, Values], float]] = {
    "mae": mae,
    "mse": mse,
    "rmse": rmse,
    "max_error": max_error,
    "mape": mape,
    "r2": r2,
    "mean_prediction": mean_prediction,
}


def _counts(truth: Codes, predicted: Codes, classes: int) -> tuple[Values, Values, Values]:
    """For each class how many rows are it and are predicted so, are it, are predicted so."""
    hits = np.bincount(truth[truth == predicted], minlength=classes)
    actual, claimed = (np.bincount(one, minlength=classes) for one in (truth, predicted))
    return hits.astype(float), actual.astype(float), claimed.astype(float)


def _ratio_or_mean(over: Values, under: Values, seen: Flags, positive: int | None) -> float:
    """Over / under of the positive class, else its mean over the classes that are seen."""
    if positive is not None:
        return float(over[positive] / under[positive]) if under[positive] else np.nan
    ratios = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
    return _mean(ratios[seen])


def _share(part: Flags, whole: Flags) -> float:
    rows = int(whole.sum())
    return float(part.sum()) / rows if rows else np.nan


def _mean(values: Values) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _area(is_one: Flags, scores: Values) -> float:
    """How often a row of the class scores higher than one of another; ties count half.

    Mann and Whitney's U over the ranks of the scores.
    """
    ones = int(is_one.sum())
    others = len(is_one) - ones
    if not ones or not others:
        return np.nan
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[is_one].sum() - ones * (ones + 1) / 2) / (ones * others))
