"""Metrics beside scikit-learn's own, on rows at random, with ties and classes that are missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from mlbench.domain.slices import DIRECTIONS
from mlbench.release import measures

CLASSES = 3
pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30)
values = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2, max_size=30)
shares = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    min_size=1,
    max_size=30,
)


def codes(rows: list[tuple[int, int]], most: int = 2) -> tuple[measures.Codes, measures.Codes]:
    truth, predicted = (np.array(side, dtype=np.int64) for side in zip(*rows, strict=True))
    return np.minimum(truth, most), np.minimum(predicted, most)


def same(found: float, expected: float) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def test_every_metric_of_gates_is_measured() -> None:
    known = {*measures.OF_LABELS, *measures.OF_ONE_CLASS, *measures.OF_VALUES}
    assert known | {"log_loss", "roc_auc"} == set(DIRECTIONS)


@given(pairs)
def test_metrics_of_two_classes_are_those_of_the_second(rows: list[tuple[int, int]]) -> None:
    truth, predicted = codes(rows, most=1)
    undefined: dict[str, Any] = {"zero_division": np.nan}
    for name, expected in (
        ("precision", sklearn.precision_score(truth, predicted, **undefined)),
        ("recall", sklearn.recall_score(truth, predicted, **undefined)),
        ("f1", sklearn.f1_score(truth, predicted, **undefined)),
        ("accuracy", sklearn.accuracy_score(truth, predicted)),
    ):
        same(measures.OF_LABELS[name](truth, predicted, 2, 1), expected)
    table = sklearn.confusion_matrix(truth, predicted, labels=[0, 1])
    with np.errstate(invalid="ignore"):
        (negative, mistaken), (missed, positive) = table / table.sum(axis=1, keepdims=True)
    for name, expected in (
        ("true_positive_rate", positive),
        ("true_negative_rate", negative),
        ("false_positive_rate", mistaken),
        ("false_negative_rate", missed),
        ("selection_rate", predicted.mean()),
    ):
        same(measures.OF_ONE_CLASS[name](truth, predicted, 2, 1), expected)


@given(pairs)
def test_metrics_of_more_classes_are_means_over_them(rows: list[tuple[int, int]]) -> None:
    truth, predicted = codes(rows)
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    for name, expected in (
        ("precision", sklearn.precision_score(truth, predicted, **macro)),
        ("recall", sklearn.recall_score(truth, predicted, **macro)),
        ("f1", sklearn.f1_score(truth, predicted, **macro)),
    ):
        same(measures.OF_LABELS[name](truth, predicted, CLASSES, None), expected)
    # As scikit-learn has it, which warns of classes that are predicted alone.
    kept = np.isin(predicted, truth)
    recalls = sklearn.recall_score(truth, predicted, labels=np.unique(truth), average=None)
    same(measures.balanced_accuracy(truth, predicted, CLASSES, None), float(np.mean(recalls)))
    if kept.all() and len(np.unique(truth)) > 1:
        expected = sklearn.balanced_accuracy_score(truth, predicted)
        same(measures.balanced_accuracy(truth, predicted, CLASSES, None), expected)


@given(shares)
def test_metrics_of_scores(rows: list[tuple[int, int, int, int]]) -> None:
    truth = np.array([row[0] for row in rows], dtype=np.int64)
    scores = np.array([row[1:] for row in rows], dtype=np.float64)
    scores /= scores.sum(axis=1, keepdims=True)
    same(measures.log_loss(truth, scores), sklearn.log_loss(truth, scores, labels=[0, 1, 2]))
    is_one = (truth == 1).astype(int)
    if 0 < is_one.sum() < len(is_one):
        expected = sklearn.roc_auc_score(is_one, scores[:, 1])
        same(measures.roc_auc(truth, scores, 1), expected)
    else:
        assert math.isnan(measures.roc_auc(truth, scores, 1))
    if len(np.unique(truth)) == CLASSES:
        expected = sklearn.roc_auc_score(truth, scores, multi_class="ovr")
        same(measures.roc_auc(truth, scores), expected)
    else:
        assert math.isnan(measures.roc_auc(truth, scores))


@given(values)
def test_metrics_of_numbers(rows: list[tuple[int, int]]) -> None:
    truth, predicted = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
    for name, expected in (
        ("mae", sklearn.mean_absolute_error(truth, predicted)),
        ("mse", sklearn.mean_squared_error(truth, predicted)),
        ("rmse", sklearn.root_mean_squared_error(truth, predicted)),
        ("max_error", sklearn.max_error(truth, predicted)),
        ("mape", sklearn.mean_absolute_percentage_error(truth, predicted)),
        ("mean_prediction", predicted.mean()),
    ):
        same(measures.OF_VALUES[name](truth, predicted), expected)
    if np.ptp(truth) > 0:
        same(measures.r2(truth, predicted), sklearn.r2_score(truth, predicted))
    else:
        assert math.isnan(measures.r2(truth, predicted))


def test_nothing_is_measured_over_no_rows() -> None:
    none = np.array([], dtype=np.int64)
    for of_labels in (*measures.OF_LABELS.values(), *measures.OF_ONE_CLASS.values()):
        assert math.isnan(of_labels(none, none, 2, 1))
    for of_values in measures.OF_VALUES.values():
        assert math.isnan(of_values(none.astype(float), none.astype(float)))
