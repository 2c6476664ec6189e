"""Rows as JSON records: columns by name, gaps as null, and answers in the model's own classes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.predictions import build_predictions
from mlbench.serving.protocol.rows import parse_rows
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.refusals import RequestError

LABELS = (TensorSpec("label", "BYTES", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2)))
MATRIX = Signature(
    (TensorSpec("x", "FP32", (-1, 2)),), LABELS, classes=("no", "yes"), columns=("width", "height")
)
COLUMNS = Signature(
    (
        TensorSpec("age", "FP64", (-1, 1)),
        TensorSpec("visits", "INT64", (-1, 1)),
        TensorSpec("town", "BYTES", (-1,)),
        TensorSpec("member", "BOOL", (-1, 1)),
    ),
    (TensorSpec("prediction", "FP64", (-1, 1)),),
)
IMAGES = Signature((TensorSpec("pixels", "FP32", (-1, 1, 2, 2)),), LABELS)
SEQUENCES = Signature((TensorSpec("steps", "FP32", (-1, -1, 2)),), LABELS)
HALF = Signature((TensorSpec("h", "FP16", (-1, 1)),), LABELS)
BRAIN = Signature((TensorSpec("b", "BF16", (-1, 1)),), LABELS)
PERSON = {"age": 41.5, "visits": 3, "town": "Ulm", "member": True}


def inputs(rows: Any, signature: Signature = MATRIX) -> dict[str, Any]:
    found = parse_rows(json.dumps(rows).encode(), signature).inputs
    return {name: array.tolist() for name, array in found.items()}


def refusal(rows: Any, signature: Signature = MATRIX) -> str:
    with pytest.raises(RequestError) as refused:
        parse_rows(json.dumps(rows).encode(), signature)
    assert refused.value.status == 400
    return str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        [{"height": 2, "width": 1}, {"width": 3, "height": 4.5}],
        [[1, 2], [3, 4.5]],
        {"rows": [[1, 2], {"width": 3, "height": 4.5}]},
        {"instances": [{"width": "1", "height": "2"}, {"width": "3", "height": "4.5"}]},
    ],
)
def test_rows_are_taken_by_column_whatever_holds_them(body: Any) -> None:
    assert inputs(body) == {"x": [[1, 2], [3, 4.5]]}


def test_a_single_record_is_a_row() -> None:
    assert inputs({"width": 1, "height": 2}) == {"x": [[1, 2]]}
    assert parse_rows(b'{"rows": [[1, 2]], "id": "mine"}', MATRIX).id == "mine"
    called_rows = Signature((TensorSpec("rows", "INT64", (-1,)),), LABELS)
    assert inputs({"rows": 5}, called_rows) == {"rows": [5]}


def test_a_missing_number_is_null() -> None:
    request = parse_rows(b'[{"width": null, "height": 1}]', MATRIX)
    np.testing.assert_array_equal(request.inputs["x"], [[np.nan, 1]])
    gone = parse_rows(json.dumps([PERSON | {"age": None}]).encode(), COLUMNS)
    assert np.isnan(gone.inputs["age"]).all()
    for name in ("visits", "town", "member"):
        assert f'row 2, column "{name}"' in refusal([PERSON, PERSON | {name: None}], COLUMNS)


def test_each_column_goes_to_its_own_input() -> None:
    request = parse_rows(json.dumps([PERSON, PERSON | {"visits": "4"}]).encode(), COLUMNS)
    assert {name: (array.dtype.kind, array.shape) for name, array in request.inputs.items()} == {
        "age": ("f", (2, 1)),
        "visits": ("i", (2, 1)),
        "town": ("O", (2,)),
        "member": ("b", (2, 1)),
    }
    assert request.inputs["visits"].tolist() == [[3], [4]]
    assert request.rows == 2


def test_tensors_of_several_dimensions_come_nested_or_flat() -> None:
    assert inputs([[1, 2, 3, 4]], IMAGES) == inputs([[[[1, 2], [3, 4]]]], IMAGES)
    assert inputs([{"pixels": [[[1, 2], [3, 4]]]}], IMAGES) == {"pixels": [[[[1, 2], [3, 4]]]]}
    assert inputs([[[1, 2], [3, 4], [5, 6]]], SEQUENCES) == {"steps": [[[1, 2], [3, 4], [5, 6]]]}
    assert "does not fit the model's [-1, -1, 2]" in refusal([[1, 2]], SEQUENCES)
    assert "differ in length or in nesting" in refusal([[1, 2, 3, 4], [1, 2, 3]], IMAGES)


def test_half_precision_takes_plain_numbers() -> None:
    assert parse_rows(b'[{"h": 0.5}]', HALF).inputs["h"].dtype == np.float16
    assert parse_rows(b'[{"b": null}]', BRAIN).inputs["b"].dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "the body has no rows"),
        (5, "must be a list of records"),
        ({"rows": {}}, "rows must be a list of records"),
        ({"rows": [[1, 2]], "id": 5}, "id must be a string or null"),
        ([5], "row 1 must be a record"),
        ([{"width": 1, "heigth": 2}], 'row 1 lacks the column "height" (did you mean "heigth"?)'),
        ([[1, 2], {"width": 1}], 'row 2 lacks the column "height"'),
        ([[1, 2, 3]], "a row has 3 values, the model takes 2"),
        ([[1, 2], [1, 2, 3]], "rows differ in length"),
        ([{"width": 1, "height": "tall"}], 'row 1, column "height": "tall" is no number'),
        ([[1, 2], [1, 1e300]], 'row 2, column "height": "1e+300" is out of range for FP32'),
        ([{"width": 1, "height": {}}], 'column "height": must be a single value'),
        ([{"width": [1], "height": [2]}], "does not fit"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: Any, sentence: str) -> None:
    assert sentence in refusal(rows)


def test_whole_numbers_are_never_bent() -> None:
    assert '"1.5" is no whole number' in refusal([PERSON | {"visits": 1.5}], COLUMNS)
    assert "out of range for INT64" in refusal([PERSON | {"visits": 2**63}], COLUMNS)
    assert "row 1 must be a record" in refusal([[1, 2, 3, 4]], COLUMNS)


FLOATS = st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1))
def test_records_give_back_their_numbers(rows: list[tuple[float | None, float | None]]) -> None:
    records = [{"height": height, "width": width} for width, height in rows]
    found = parse_rows(json.dumps(records).encode(), MATRIX).inputs["x"]
    wanted = np.array(rows, dtype=np.float32)
    np.testing.assert_array_equal(found, wanted)


def answer(signature: Signature, rows: Any, **outputs: Array) -> dict[str, Any]:
    request = parse_rows(json.dumps(rows).encode(), signature)
    body = build_predictions("m", "3", request, outputs, "7", signature)
    found: dict[str, Any] = json.loads(body)
    return found


def test_an_answer_has_a_prediction_for_each_row() -> None:
    probabilities = np.array([[0.1, 0.9], [np.nan, 0.5]], np.float32)
    label = np.array(["yes", "no"], object)
    rows = [{"width": 1, "height": 2, "label": "no"}, {"width": 1, "height": 2, "seen": 4}]
    assert answer(MATRIX, rows, label=label, probabilities=probabilities) == {
        "model": "m",
        "version": "3",
        "id": "7",
        "predictions": [
            {"label": "yes", "probabilities": {"no": 0.1, "yes": 0.9}},
            {"label": "no", "probabilities": {"no": None, "yes": 0.5}},
        ],
        "ignored": ["label", "seen"],
    }


def test_a_regression_is_a_number_or_a_list_of_targets() -> None:
    one = answer(COLUMNS, [PERSON, PERSON], prediction=np.array([[1.5], [2.5]]))
    assert one["predictions"] == [{"prediction": 1.5}, {"prediction": 2.5}]
    two = answer(COLUMNS, [PERSON], prediction=np.array([[1.5, 2.5]]))
    assert two["predictions"] == [{"prediction": [1.5, 2.5]}]
    assert "ignored" not in one


def test_scores_without_a_label_get_that_of_the_best() -> None:
    outputs = (TensorSpec("output", "FP32", (-1, 2)), TensorSpec("built", "INT64", (1,)))
    scores = np.array([[0.5, 2]], np.float32)
    for classes, label in ((("0", "1"), 1), (("no", "yes"), "yes"), ((), None)):
        signature = Signature(MATRIX.inputs, outputs, classes)
        found = answer(signature, [[1, 2]], output=scores, built=np.array([9]))
        assert found["outputs"] == {"built": [9]}
        assert found["predictions"][0].get("label") == label
