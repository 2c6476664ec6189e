from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.requests.columns import prediction_of, table_of
from mlbench.serving.requests.decoding import decoded
from tests.serving.requests.classifiers import asked, asked_rows, loaded
from tests.serving.requests.kept import kept, tensor


def lines(*requests: Any, signature: Signature | None = None) -> list[dict[str, Any]]:
    names, rows = table_of(requests, lambda _model, _version: signature)
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_a_request_is_told_with_its_tensors() -> None:
    found = decoded(kept(4, at_ns=1_795_000_000_123_456_789))
    assert found.at == "2026-11-18T11:06:40.123Z"
    assert found.inputs == (tensor("x", [1, 2], [4.0, 0.5]),)
    assert found.outputs == (tensor("label", [1], [1], "INT64"),)
    assert (found.id, found.status, found.seconds, found.missing) == ("id-4", 200, 0.001, "")


def test_nested_data_is_told_flat_and_binary_data_as_numbers() -> None:
    values = np.array([[0.1, 2.5], [1e-7, math.nan]], np.float32)
    head = json.dumps(
        {
            "inputs": [
                {"name": "a", "shape": [2, 2], "datatype": "INT64", "data": [[1, 2], [3, 4]]},
                {
                    "name": "b",
                    "shape": [2, 2],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": values.nbytes},
                },
            ]
        }
    ).encode()
    found = decoded(kept(body=head + values.tobytes(), header_length=len(head)))
    assert found.inputs is not None
    assert found.inputs[0]["data"] == [1, 2, 3, 4]
    assert found.inputs[1]["data"][:3] == [0.1, 2.5, 1e-7]
    assert math.isnan(found.inputs[1]["data"][3])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"without_body": True}, "inputs are not logged here (log_inputs)"),
        ({"is_body_cut": True}, "too long"),
        ({"header_length": 0}, "raw bytes"),
        ({"body": b"\xff no json"}, "can't be read"),
        ({"body": b"[" * 100_000}, "can't be read"),
        ({"body": b'{"inputs": [{"name": "x"}]}'}, "can't be read"),
        ({"body": b'{"inputs": "x"}'}, "can't be read"),
    ],
)
def test_inputs_that_are_not_there_are_none_and_say_why(changed: dict[str, Any], why: str) -> None:
    found = decoded(kept(**changed))
    assert found.inputs is None
    assert why in found.missing


def test_a_refused_request_has_its_sentence_and_no_outputs() -> None:
    found = decoded(kept(status=400, reply=b'{"error": "the body is not JSON"}'))
    assert (found.error, found.outputs) == ("the body is not JSON", None)


def test_a_line_for_each_row_a_column_for_each_feature(tmp_path: Path) -> None:
    model = loaded(tmp_path, 3)
    found = lines(decoded(asked(1, model, 1, 0, 0, 2)), signature=model.signature)
    assert [line["row"] for line in found] == [0, 1]
    assert [(line["a"], line["b"]) for line in found] == [(1, 0), (0, 2)]
    assert [line["output.label"] for line in found] == [0, 1]
    assert found[1]["output.probabilities.virginica"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert found[0]["version"] == "3"


def test_records_by_predict_make_the_same_columns(tmp_path: Path) -> None:
    model = loaded(tmp_path, 3)
    tensors = decoded(asked(1, model, 1, 0, 0, 2))
    records = decoded(asked_rows(1, model, {"a": 1, "b": 0}, {"a": 0, "b": 2}))
    columns = ["a", "b", "output.probabilities.setosa", "output.probabilities.virginica"]
    for one, other in zip(lines(tensors, signature=model.signature), lines(records), strict=True):
        assert [one[name] for name in columns] == pytest.approx([other[name] for name in columns])


def test_values_without_names_and_features_named_like_our_columns() -> None:
    found = decoded(kept(is_rows=True, body=b"[[1, 2]]", reply=b'{"predictions": [{"y": 1}]}'))
    assert found.inputs == ({"0": 1, "1": 2},)
    one = Signature((TensorSpec("x", "FP32", (-1, 2)),), ())
    for signature, names in ((one, ("x.0", "x.1")), (replace(one, columns=("a", "b")), ("a", "b"))):
        (line,) = lines(found, signature=signature)
        assert [line[name] for name in names] == [1, 2]
    clash = decoded(kept(is_rows=True, body=b'[{"id": 7, "ms": 1}]', reply=b"{}"))
    (line,) = lines(clash)
    assert (line["id"], line["input.id"], line["input.ms"]) == ("id-0", 7, 1)


def test_a_label_for_each_row_or_for_the_first() -> None:
    two = replace(decoded(kept()), inputs=(tensor("x", [2, 1], [1.0, 2.0]),), outputs=None)
    assert [line["label"] for line in lines(replace(two, label=["p", "q"]))] == ["p", "q"]
    assert [line["label"] for line in lines(replace(two, label="p"))] == ["p", None]


def test_a_wide_tensor_without_names_is_one_column() -> None:
    wide = decoded(
        kept(body=json.dumps({"inputs": [tensor("image", [1, 3000], [0.0] * 3000)]}).encode())
    )
    (line,) = lines(wide)
    assert len(line["image"]) == 3000
    signature = Signature((TensorSpec("x", "FP32", (-1, 2)),), ())
    (narrow,) = lines(decoded(kept(2)), signature=signature)
    assert (narrow["x.0"], narrow["x.1"]) == (2.0, 0.5)


def test_what_to_show_as_the_answer(tmp_path: Path) -> None:
    model = loaded(tmp_path, 1)
    assert prediction_of(decoded(asked(1, model, 0, 2))) == 1
    assert prediction_of(decoded(asked(1, model, 0, 2, 1, 0))) == [1, 0]
    assert prediction_of(decoded(asked_rows(1, model, {"a": 0, "b": 2}))) == 1
    assert prediction_of(decoded(kept(status=500, reply=b"{}"))) is None
