"""How far an exported model's answers are from the original's, on arrays and on real models."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlbench.domain.release import Parity
from mlbench.release.parity import TOLERANCE, compare, prove

Array = NDArray[Any]

numbers = st.floats(width=32, allow_nan=False)
probabilities = st.floats(0, 1, width=32)


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Array:
    """Scores of some rows, rows x classes."""
    width = draw(st.integers(1, 3))
    row = st.lists(values, min_size=width, max_size=width)
    return np.array(draw(st.lists(row, min_size=1, max_size=5)))


def against(
    scores: Array, exported: Array, labels: Any = None, exported_labels: Any = None
) -> Parity:
    """The parity of two sets of scores, whose labels agree unless they are given."""
    same = np.zeros(len(scores), dtype=int)
    return compare(
        same if labels is None else np.array(labels),
        scores,
        same if exported_labels is None else np.array(exported_labels),
        exported,
        np.arange(len(scores)),
    )


@given(tables(numbers))
def test_equal_answers_have_no_error(scores: Array) -> None:
    assert against(scores, scores.copy()) == Parity(True, len(scores), 0.0, 0.0, 0, 0)


@given(tables(numbers), st.data())
def test_other_answers_have_an_error_on_their_row(scores: Array, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(scores) - 1))
    column = data.draw(st.integers(0, scores.shape[1] - 1))
    exported = scores.copy()
    exported[row, column] = data.draw(numbers.filter(lambda other: other != scores[row, column]))
    parity = against(scores, exported)
    assert parity.max_abs_error > 0
    assert parity.worst_row == row
    assert parity.rows == len(scores)


@given(tables(probabilities), st.data())
def test_nan_is_an_infinite_error_and_never_passes(scores: Array, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(scores) - 1))
    holed = scores.copy()
    holed[row, 0] = math.nan
    for original, exported in ((scores, holed), (holed, scores), (holed, holed)):
        parity = against(original, exported)
        assert not parity.passed
        assert parity.max_abs_error == parity.max_rel_error == math.inf
        assert parity.worst_row == row


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_every_flipped_label_counts(pairs: list[tuple[int, int]]) -> None:
    labels, exported = zip(*pairs, strict=True)
    flips = sum(one != other for one, other in pairs)
    scores = np.ones((len(pairs), 3))
    for kind in (int, float, str):
        parity = against(
            scores, scores, [kind(item) for item in labels], [kind(item) for item in exported]
        )
        assert parity.label_flips == flips
        assert parity.passed is (flips == 0)


@pytest.mark.parametrize(
    ("labels", "exported"),
    [([0.0, 1.0, 2.0], [0, 1, 2]), ([False, True, True], [0, 1, 1])],
)
def test_labels_are_compared_by_value(labels: list[float], exported: list[int]) -> None:
    scores = np.ones((3, 3))
    assert against(scores, scores, labels, exported).passed
    assert against(scores, scores, labels, exported[::-1]).label_flips == 2


@pytest.mark.parametrize("exported", [np.ones((2, 1)), np.ones((2, 2)), np.ones((2, 4))])
def test_another_number_of_scores_never_passes(exported: Array) -> None:
    parity = against(np.ones((2, 3)), exported)
    assert not parity.passed
    assert parity.max_abs_error == math.inf


def test_an_error_is_relative_to_the_rows_largest_score() -> None:
    scores = np.array([[1e-9, 0.8], [0.5, 0.5]])
    parity = against(scores, np.array([[3e-9, 0.8], [0.5, 0.5 + 5e-5]]))
    assert parity.passed
    assert parity.max_abs_error == pytest.approx(5e-5)
    assert parity.max_rel_error == pytest.approx(1e-4)
    assert not against(scores, np.array([[0.1, 0.8], [0.5, 0.5]])).passed


def test_a_prediction_near_zero_is_judged_beside_the_usual_ones() -> None:
    predictions = np.array([[1.5], [-0.9], [1e-8], [0.7]])
    assert against(predictions, predictions + 1e-7).passed
    wrong = predictions.copy()
    wrong[2] = 1e-3
    assert not against(predictions, wrong).passed


RNG = np.random.default_rng(7)
ROWS = RNG.normal(size=(40, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=(3, 4)).astype(np.float32)


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def save(path: Path, nodes: list[onnx.NodeProto], *outputs: str) -> None:
    """A model on n x 3 rows from nodes that may use the weights W; `label` is INT64."""
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3])],
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name == "label" else TensorProto.FLOAT, None
            )
            for name in outputs
        ],
        [numpy_helper.from_array(WEIGHTS, "W")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


PREDICT = [
    helper.make_node("MatMul", ["rows", "W"], ["scores"]),
    helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
]


def as_it_is(name: str) -> onnx.NodeProto:
    return helper.make_node("Identity", ["input"], [name])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.npz"
    scores = ROWS.astype(np.float64) @ WEIGHTS
    np.savez(path, X=ROWS, label=scores.argmax(axis=1), scores=softmax(scores))
    return path


def test_a_true_model_is_proved(model: Path, answers: Path) -> None:
    save(model, [as_it_is("rows"), *PREDICT], "label", "probabilities")
    proof = prove(model, answers)
    assert proof.parity.passed
    assert (proof.parity.rows, proof.parity.label_flips) == (40, 0)
    assert 0 < proof.parity.max_abs_error < 1e-6
    assert 0 < proof.latency["p50_ms"] <= proof.latency["p99_ms"]


def test_a_model_with_a_sign_turned_is_refused(model: Path, answers: Path) -> None:
    save(model, [helper.make_node("Neg", ["input"], ["rows"]), *PREDICT], "label", "probabilities")
    parity = prove(model, answers).parity
    assert not parity.passed
    assert parity.label_flips > 0
    assert parity.max_rel_error > TOLERANCE


def test_a_model_with_right_labels_and_wrong_scores_is_refused(model: Path, answers: Path) -> None:
    doubled = helper.make_node("Add", ["input", "input"], ["rows"])
    save(model, [doubled, *PREDICT], "label", "probabilities")
    parity = prove(model, answers).parity
    assert (parity.passed, parity.label_flips) == (False, 0)


def test_a_model_that_looks_at_its_neighbours_is_refused(model: Path, tmp_path: Path) -> None:
    """All rows at once it answers as the original did; alone, each row is its own mean."""
    centred = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0]),
        helper.make_node("Sub", ["input", "mean"], ["rows"]),
    ]
    save(model, [*centred, *PREDICT], "label", "probabilities")
    scores = (ROWS - ROWS.mean(axis=0)).astype(np.float64) @ WEIGHTS
    answers = tmp_path / "answers.npz"
    np.savez(answers, X=ROWS, label=scores.argmax(axis=1), scores=softmax(scores))
    parity = prove(model, answers).parity
    assert not parity.passed
    assert parity.rows == 40


def test_a_regressor_has_no_labels_to_flip(model: Path, tmp_path: Path) -> None:
    save(model, [as_it_is("rows"), PREDICT[0]], "scores")
    answers = tmp_path / "answers.npz"
    np.savez(answers, X=ROWS, scores=ROWS.astype(np.float64) @ WEIGHTS, classes=np.array([]))
    parity = prove(model, answers).parity
    assert (parity.passed, parity.label_flips) == (True, 0)

    np.savez(answers, X=ROWS, scores=ROWS @ WEIGHTS + 0.1)
    parity = prove(model, answers).parity
    assert (parity.passed, parity.label_flips) == (False, 0)
    assert parity.max_abs_error == pytest.approx(0.1, abs=1e-5)


def test_a_single_row_is_enough(model: Path, tmp_path: Path) -> None:
    save(model, [as_it_is("rows"), *PREDICT], "label", "probabilities")
    scores = ROWS[:1].astype(np.float64) @ WEIGHTS
    answers = tmp_path / "answers.npz"
    np.savez(answers, X=ROWS[:1], label=scores.argmax(axis=1), scores=softmax(scores))
    parity = prove(model, answers).parity
    assert (parity.passed, parity.rows, parity.worst_row) == (True, 1, 0)
