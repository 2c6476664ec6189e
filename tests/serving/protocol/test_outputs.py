"""Outputs as a request asks for them: in binary or JSON, as tensors or as their best classes."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import parse_request
from mlbench.serving.protocol.tensors import Array
from mlbench.serving.refusals import RequestError

SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1,)), TensorSpec("z", "FP32", (-1,))),
    (TensorSpec("label", "BYTES", (-1,)), TensorSpec("scores", "FP32", (-1, 3))),
    ("ant", "bee", "cat"),
)
ONE_INPUT = Signature(SIGNATURE.inputs[:1], SIGNATURE.outputs, SIGNATURE.classes)
SCORES = np.array([[0.25, 0.5, 0.25], [2, np.nan, 3]], np.float32)
OUTPUTS = {"label": np.array(["bee", "é"], object), "scores": SCORES}


def body_with(**fields: Any) -> bytes:
    x = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}
    return json.dumps({"inputs": [x], **fields}).encode()


def answered(given_outputs: dict[str, Array] | None = None, **fields: Any) -> tuple[Any, bytes]:
    request = parse_request(body_with(**fields), None, ONE_INPUT)
    outputs = given_outputs or OUTPUTS
    body, length = build_response("m", "1", request, outputs, "7", ONE_INPUT.classes)
    return orjson.loads(body[:length]), b"" if length is None else body[length:]


def refusal(body: bytes, signature: Signature = ONE_INPUT) -> RequestError:
    with pytest.raises(RequestError) as refused:
        parse_request(body, None, signature)
    return refused.value


def test_each_output_goes_back_as_it_is_asked_for() -> None:
    cases: list[tuple[Any, Any, list[str]]] = [
        (None, None, []),
        ({"binary_data_output": True}, None, ["label", "scores"]),
        ({"binary_data_output": True}, [{"name": "scores"}], ["scores"]),
        (None, [{"name": "label", "parameters": {"binary_data": True}}], ["label"]),
        (
            {"binary_data_output": True},
            [{"name": "label", "parameters": {"binary_data": False}}, {"name": "scores"}],
            ["scores"],
        ),
    ]
    for parameters, asked, binary in cases:
        outputs = OUTPUTS | {"scores": SCORES[:, [0, 0, 0]]}
        answer, tail = answered(outputs, parameters=parameters, outputs=asked)
        named = [output["name"] for output in asked] if asked else ["label", "scores"]
        assert [output["name"] for output in answer["outputs"]] == named
        followed = [output for output in answer["outputs"] if "data" not in output]
        assert [output["name"] for output in followed] == binary
        assert sum(output["parameters"]["binary_data_size"] for output in followed) == len(tail)


def test_binary_texts_and_nan_come_one_after_the_other() -> None:
    answer, tail = answered(parameters={"binary_data_output": True})
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"bee", "é".encode()))
    assert tail == texts + SCORES.tobytes()
    assert [output["shape"] for output in answer["outputs"]] == [[2], [2, 3]]


def test_classification_gives_the_best_scores_with_their_labels() -> None:
    asked = [{"name": "scores", "parameters": {"classification": 2}}]
    answer, tail = answered(outputs=asked)
    assert answer["outputs"] == [
        {
            "name": "scores",
            "datatype": "BYTES",
            "shape": [2, 2],
            "data": ["0.500000:1:bee", "0.250000:0:ant", "3.000000:2:cat", "2.000000:0:ant"],
        }
    ]
    assert tail == b""
    asked[0]["parameters"] = {"classification": 9, "binary_data": True}
    answer, tail = answered(outputs=asked)
    assert answer["outputs"][0]["shape"] == [2, 3]
    assert b"nan:1:bee" in tail


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int64, np.float32]),
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=4),
    ),
    st.integers(1, 5),
)
def test_a_ranking_is_a_stable_sort_from_the_best_on(scores: Array, count: int) -> None:
    signature = Signature(ONE_INPUT.inputs, (TensorSpec("y", "FP32", (-1,) * scores.ndim),))
    asked = [{"name": "y", "parameters": {"classification": count}}]
    request = parse_request(body_with(outputs=asked), None, signature)
    body, _ = build_response("m", "1", request, {"y": scores}, "", ())
    (output,) = orjson.loads(body)["outputs"]
    found = [int(text.split(":")[1]) for text in output["data"]]
    wanted = []
    for row in scores.reshape(len(scores), -1).tolist():
        known = [-np.inf if np.isnan(value) else value for value in row]
        wanted += sorted(range(len(row)), key=lambda place: -known[place])[:count]
    assert found == wanted


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"outputs": [{"name": "y", "parameters": None}]}, 'no output "y"'),
        ({"outputs": [{"name": "label"}, {"name": "label"}]}, "asked for twice"),
        ({"outputs": [{"name": "label", "parameters": []}]}, "parameters must be an object"),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": 1}}]},
            "binary_data must be true or false",
        ),
        (
            {"outputs": [{"name": "label", "parameters": {"classification": "3"}}]},
            "classification must be a whole number",
        ),
        (
            {"outputs": [{"name": "label", "parameters": {"shared_memory_region": "r"}}]},
            "shares no memory with its clients; send the data in the body",
        ),
        ({"parameters": {"binary_data_output": "yes"}}, "binary_data_output must be true or false"),
        ({"parameters": {"sequence_start": 1}}, "sequence_start must be true or false"),
        ({"parameters": {"sequence_id": 1.5}}, "sequence_id must be a whole number or a string"),
        ({"parameters": {"priority": -1}}, "priority must be a whole number"),
        ({"parameters": {"timeout": True}}, "timeout must be a whole number"),
        ({"parameters": {"triton_x": 1}}, "is reserved"),
        ({"parameters": {"mine": {}}}, "must be a string, a number, true or false"),
    ],
)
def test_parameters_of_another_type_are_refused(fields: dict[str, Any], sentence: str) -> None:
    refused = refusal(body_with(**fields))
    assert refused.status == 400
    assert sentence in str(refused)


def test_parameters_that_mean_nothing_here_are_kept_and_change_nothing() -> None:
    parameters = {
        "mine": 4.5,
        "sequence_id": 3,
        "sequence_end": True,
        "priority": 1,
        "timeout": None,
    }
    request = parse_request(body_with(parameters=parameters), None, ONE_INPUT)
    assert request.parameters == parameters
    answer, _ = answered(OUTPUTS | {"scores": SCORES[:1]}, parameters=parameters)
    assert len(answer["outputs"]) == 2


def test_shared_memory_of_an_input_is_refused() -> None:
    x: dict[str, Any] = {"name": "x", "shape": [2], "datatype": "FP32"}
    x |= {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 8}}
    assert "shares no memory" in str(refusal(json.dumps({"inputs": [x]}).encode()))


def test_inputs_share_their_rows() -> None:
    tensors = [
        {"name": name, "shape": [size], "datatype": "FP32", "data": [0] * size}
        for name, size in (("x", 2), ("z", 3))
    ]
    refused = refusal(json.dumps({"inputs": tensors}).encode(), SIGNATURE)
    assert refused.status == 400
    assert str(refused) == 'input "x" has 2 rows and input "z" 3'


def test_texts_have_no_ranking() -> None:
    asked = [{"name": "label", "parameters": {"classification": 1}}]
    with pytest.raises(RequestError, match="has no ranking") as refused:
        answered(outputs=asked)
    assert refused.value.status == 400
