"""The metrics, beside scikit-learn's own on drawn and on real answers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlbench.release.answers import Answers, Array
from mlbench.release.scores import Truth, scored

WORDS = np.array(["ant", "bee", "cat", "dog"])


def averaged(name: str, y: Array, label: Array, *, binary: bool, second: Any) -> float:
    """Precision, recall or f1 as scikit-learn has it: of the second class, or over all."""
    how: dict[str, Any] = {"average": "binary", "pos_label": second} if binary else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = getattr(metrics, f"{name}_score")
        return float(function(y, label, **(how or {"average": "macro"}), zero_division=0))


@st.composite
def classified(draw: st.DrawFn) -> tuple[Array, Array, Array, Array]:
    """Classes, true labels, predicted labels and probabilities with ties; classes may be absent."""
    width, rows = draw(st.integers(2, 4)), draw(st.integers(1, 30))
    places = st.lists(st.integers(0, width - 1), min_size=rows, max_size=rows)
    shares = st.lists(st.integers(1, 4), min_size=width, max_size=width)
    parts = np.array(draw(st.lists(shares, min_size=rows, max_size=rows)), dtype=float)
    classes = draw(st.sampled_from([np.arange(width), np.arange(width) * 10.0, WORDS[:width]]))
    probabilities = parts / parts.sum(axis=1, keepdims=True)
    return classes, classes[draw(places)], classes[draw(places)], probabilities


@given(classified())
def test_a_classifiers_metrics_are_scikit_learns(
    drawn: tuple[Array, Array, Array, Array],
) -> None:
    classes, y, label, probabilities = drawn
    found = scored(Truth(y, classes), Answers(label, probabilities))
    with warnings.catch_warnings():
        # It warns of classes that were predicted and are not there.
        warnings.simplefilter("ignore")
        balanced = metrics.balanced_accuracy_score(y, label)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, label))
    assert found["balanced_accuracy"] == pytest.approx(balanced)
    binary = len(classes) == 2
    for name in ("precision", "recall", "f1"):
        expected = averaged(name, y, label, binary=binary, second=classes[1])
        assert found[name] == pytest.approx(expected), name
    loss = metrics.log_loss(y, probabilities, labels=classes)
    assert found["log_loss"] == pytest.approx(loss)
    if len(set(y.tolist())) < len(classes):
        assert "roc_auc" not in found
    else:
        scores = probabilities[:, 1] if binary else probabilities
        area = metrics.roc_auc_score(y, scores, multi_class="ovr", labels=classes)
        assert found["roc_auc"] == pytest.approx(area)


numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@st.composite
def predicted(draw: st.DrawFn) -> tuple[Array, Array]:
    """True and predicted numbers, n x targets."""
    rows, targets = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    row = st.lists(numbers, min_size=targets, max_size=targets)
    table = st.lists(row, min_size=rows, max_size=rows)
    return np.array(draw(table)), np.array(draw(table))


@given(predicted())
def test_a_regressors_metrics_are_scikit_learns(drawn: tuple[Array, Array]) -> None:
    y, prediction = drawn
    found = scored(Truth(y), Answers(None, prediction))
    if (np.ptp(y, axis=0) > 0).all():
        assert found["r2"] == pytest.approx(metrics.r2_score(y, prediction), rel=1e-6, abs=1e-9)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, prediction))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(y, prediction))
    assert found["mape"] == pytest.approx(metrics.mean_absolute_percentage_error(y, prediction))
    largest = max(metrics.max_error(*pair) for pair in zip(y.T, prediction.T, strict=True))
    assert found["max_error"] == pytest.approx(largest)


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_on_real_data(load: Any) -> None:
    features, species = load(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(
        features[::3], species[::3]
    )
    label, shares = model.predict(features), model.predict_proba(features)
    found = scored(Truth(species, model.classes_), Answers(label, shares))
    two = shares.shape[1] == 2
    assert found["roc_auc"] == pytest.approx(
        metrics.roc_auc_score(species, shares[:, 1] if two else shares, multi_class="ovr")
    )
    assert found["log_loss"] == pytest.approx(metrics.log_loss(species, shares))
    average = "binary" if two else "macro"
    assert found["f1"] == pytest.approx(metrics.f1_score(species, label, average=average))


def test_a_real_regressor() -> None:
    features, progression = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(features, progression)
    prediction = model.predict(features)
    found = scored(Truth(progression), Answers(None, prediction.reshape(-1, 1)))
    assert found["r2"] == pytest.approx(model.score(features, progression))
    assert set(found) == {"r2", "rmse", "mae", "max_error", "mape"}


def test_a_truth_that_does_not_vary_has_no_r2() -> None:
    y = np.column_stack([np.ones(3), np.arange(3.0)])
    assert "r2" not in scored(Truth(y), Answers(None, y))
    assert scored(Truth(y[:, 1:]), Answers(None, y[:, 1:]))["r2"] == 1.0


@pytest.mark.parametrize(
    ("y", "label"),
    [
        (np.array([1.0, 0.0, 1.0]), np.array([1, 0, 0])),
        (np.array([True, False, True]), np.array([1, 0, 0])),
        (np.array(["1", "0", "1"]), np.array(["1", "0", "0"])),
    ],
)
def test_labels_of_another_type_are_the_same_classes(y: Array, label: Array) -> None:
    found = scored(Truth(y, np.array([0, 1])), Answers(label))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["recall"] == 0.5


def test_a_class_that_training_never_saw_counts_as_missed() -> None:
    y = np.array(["ant", "bee", "cow"])
    answers = Answers(np.array(["ant", "bee", "ant"]), np.array([[0.9, 0.1], [0.1, 0.9], [1, 0]]))
    found = scored(Truth(y, WORDS[:2]), answers)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert "log_loss" not in found
    assert "roc_auc" not in found


def test_scores_that_are_no_probabilities_have_no_log_loss() -> None:
    y = np.array([0, 1])
    found = scored(Truth(y, y), Answers(y, np.array([[3.0, -1.0], [-2.0, 8.0]])))
    assert found["accuracy"] == 1.0
    assert not {"log_loss", "roc_auc"} & set(found)


def test_several_targets_have_the_share_of_rows_that_are_all_right() -> None:
    y = np.array([[0, 1], [1, 1], [0, 0]])
    assert scored(Truth(y), Answers(np.array([[0, 1], [1, 0], [0, 0]]))) == {
        "accuracy": pytest.approx(2 / 3)
    }


def test_without_truth_or_with_another_number_of_rows_there_is_nothing_to_score() -> None:
    answers = Answers(None, np.ones((3, 1)))
    assert scored(Truth(None), answers) == {}
    assert scored(Truth(np.ones(2)), answers) == {}
    assert scored(Truth(np.ones((3, 2))), answers) == {}
    assert scored(Truth(np.array(["a", "b", "c"])), answers) == {}
    assert scored(Truth(np.ones(3)), Answers()) == {}


def test_what_is_not_finite_is_no_metric() -> None:
    found = scored(Truth(np.ones(2)), Answers(None, np.array([[1.0], [math.inf]])))
    assert set(found) <= {"r2", "rmse", "mae", "max_error", "mape"}
    assert all(math.isfinite(value) for value in found.values())
