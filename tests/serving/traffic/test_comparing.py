"""Laws of comparing two answers of one request."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlbench.serving.traffic.comparing import Comparison, Flip, compare

_SCORES = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(0, 5), st.integers(1, 4)),
    elements=st.floats(width=32),
)


def labels(*values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    return np.array(values, dtype=object if isinstance(values[0], str) else None)


@given(_SCORES)
def test_an_answer_is_like_itself_nan_and_infinite_scores_included(scores: Any) -> None:
    answer = {"prediction": scores, "label": np.arange(len(scores))}
    assert compare(answer, {name: array.copy() for name, array in answer.items()}) == Comparison(
        len(scores)
    )


@given(_SCORES, st.data())
def test_the_largest_difference_is_found_in_its_row(scores: Any, data: Any) -> None:
    scores = np.where(np.isfinite(scores), np.clip(scores, -1e6, 1e6), 0.0)
    if not scores.size:
        return
    row = data.draw(st.integers(0, len(scores) - 1))
    column = data.draw(st.integers(0, scores.shape[1] - 1))
    other = scores.copy()
    other[row, column] += 4.0
    found = compare({"prediction": scores}, {"prediction": other})
    back = compare({"prediction": other}, {"prediction": scores})
    assert found.max_abs_error == back.max_abs_error == pytest.approx(4.0, abs=0.2)
    assert found.worst_row == row
    assert found.max_rel_error > 0
    assert not found.flips


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_flips_are_the_rows_whose_labels_differ(pairs: list[tuple[str, str]]) -> None:
    found = compare(
        {"label": labels(*(before for before, _ in pairs))},
        {"label": labels(*(after for _, after in pairs))},
    )
    expected = [Flip(row, *pair) for row, pair in enumerate(pairs) if pair[0] != pair[1]]
    assert found.flips == tuple(expected)
    assert found.rows == len(pairs)


def test_labels_as_numbers_and_as_texts_of_the_same_classes_agree() -> None:
    found = compare({"label": labels(3, 5)}, {"label": labels("3", "4")})
    assert found.flips == (Flip(1, "5", "4"),)


def test_bytes_are_shown_as_text() -> None:
    first = np.array([b"caf\xc3\xa9"], dtype=object)
    found = compare({"label": first}, {"label": np.array(["th\xe9"], dtype=object)})
    assert found.flips == (Flip(0, "café", "thé"),)


def test_without_labels_the_most_probable_class_is_the_label() -> None:
    first = {"probabilities": np.array([[0.9, 0.1], [0.4, 0.6]], dtype=np.float32)}
    other = {"probabilities": np.array([[0.2, 0.8], [0.3, 0.7]], dtype=np.float32)}
    assert compare(first, other, ("no", "yes"), ("no", "yes")).flips == (Flip(0, "no", "yes"),)
    assert compare(first, other).flips == (Flip(0, "0", "1"),)


def test_probabilities_are_compared_by_the_names_of_their_classes() -> None:
    first = {"probabilities": np.array([[0.7, 0.3]]), "label": labels("a")}
    other = {"probabilities": np.array([[0.1, 0.2, 0.7]]), "label": labels("a")}
    found = compare(first, other, ("a", "b"), ("c", "b", "a"))
    assert found.missing == ()
    assert found.max_abs_error == pytest.approx(0.1)
    assert found.flips == ()


def test_what_is_not_there_in_the_same_shape_is_missing() -> None:
    first = {"a": np.zeros((2, 3)), "b": np.zeros((2, 1)), "c": np.zeros(2), "d": np.zeros(2)}
    other = {"a": np.ones((2, 3)), "b": np.zeros((2, 2)), "d": np.zeros(2, dtype=np.int64)}
    found = compare(first, other)
    assert found.missing == ("b", "c", "d")
    assert found.max_abs_error == 1.0


def test_a_score_that_is_no_number_any_more_is_infinitely_far() -> None:
    found = compare({"y": np.array([[1.0], [2.0]])}, {"y": np.array([[1.0], [math.nan]])})
    assert (found.max_abs_error, found.worst_row) == (math.inf, 1)


def test_an_error_is_relative_to_the_largest_score_of_its_row() -> None:
    found = compare({"y": np.array([[1e-9, 10.0]])}, {"y": np.array([[0.1, 10.0]])})
    assert found.max_rel_error == pytest.approx(0.01)


def test_tensors_without_rows_and_empty_ones_compare_too() -> None:
    first = {"n": np.array(3), "s": np.array(1.0), "none": np.zeros((0, 4))}
    other = {"n": np.array(4), "s": np.array(1.5), "none": np.zeros((0, 4))}
    found = compare(first, other)
    assert (found.rows, found.flips) == (0, (Flip(0, "3", "4"),))
    assert compare({}, {}) == Comparison(0)
    assert compare({"s": np.array(1.0)}, {}) == Comparison(0, missing=("s",))
    assert found.max_abs_error == 0.5
