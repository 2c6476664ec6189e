"""The one number a row that drift and canaries look at."""

from __future__ import annotations

import numpy as np
import pytest

from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.worker.predictions import MOST_ROWS, predictions_of


def signature(name: str, datatype: str = "FP32", classes: tuple[str, ...] = ()) -> Signature:
    return Signature((), (TensorSpec(name, datatype, (-1,)),), classes)


@pytest.mark.parametrize(
    ("labels", "classes", "places"),
    [
        (np.array([3, 7, 3]), ("3", "5", "7"), [0.0, 2.0, 0.0]),
        (np.array([3]), ("3", "5", "7"), [0.0]),
        (np.array(["b", "a"], object), ("a", "b"), [1.0, 0.0]),
        (np.array([b"b"], object), ("a", "b"), [1.0]),
        (np.array([4]), ("3", "5"), [-1.0]),
        (np.array([], np.int64), ("3", "5"), []),
    ],
)
def test_a_label_counts_by_its_place(
    labels: Array, classes: tuple[str, ...], places: list[float]
) -> None:
    read = predictions_of(signature("label", "INT64", classes))
    assert list(read({"label": labels})) == places
    assert list(read({"label": labels})) == places


@pytest.mark.parametrize(
    ("name", "values", "numbers"),
    [
        ("prediction", np.array([1.5, 2.5]), [1.5, 2.5]),
        ("prediction", np.array([[1.5, 9.0], [2.5, 9.0]]), [1.5, 2.5]),
        ("output", np.array([[0.1, 0.9], [0.7, 0.3]]), [1.0, 0.0]),
        ("output", np.array([[0.25], [0.5]]), [0.25, 0.5]),
        ("output", np.array(0.25), [0.25]),
        ("output", np.zeros((0, 4)), []),
        ("output", np.array(["text"], object), []),
    ],
)
def test_other_models_count_by_their_first_output(
    name: str, values: Array, numbers: list[float]
) -> None:
    assert list(predictions_of(signature(name))({name: values})) == numbers


def test_of_many_rows_some_count_from_all_over() -> None:
    rows = np.arange(1000.0)
    kept = predictions_of(signature("prediction"))({"prediction": rows})
    assert 0 < len(kept) <= MOST_ROWS
    assert kept[0] == 0.0
    assert kept[-1] > 980
    labels = predictions_of(signature("label", "INT64", ("0", "1")))({"label": rows.astype(int)})
    assert len(labels) == len(kept)
