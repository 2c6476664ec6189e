"""The JSON codec: what goes in comes out, and what does not fit is refused with a sentence."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.json_text import DEPTH_LIMIT, LISTS_LIMIT, parse_json
from mlbench.serving.protocol.parsing import InferenceRequest, RequestedOutput, parse_request
from mlbench.serving.protocol.tensors import BINARY_ONLY, DTYPES, Array, datatype_of
from mlbench.serving.refusals import RequestError

JSON_DATATYPES = sorted(DTYPES.keys() - BINARY_ONLY)
SIGNATURE = Signature(
    inputs=(TensorSpec("x", "FP32", (-1, 2)), TensorSpec("n", "UINT8", (1,))),
    outputs=(TensorSpec("y", "FP32", (-1,)), TensorSpec("label", "BYTES", (-1,))),
)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Array]:
    """A datatype and an array of it that JSON can hold, of any shape with up to four dimensions."""
    datatype = draw(st.sampled_from(JSON_DATATYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    dtype = DTYPES[datatype]
    if datatype == "BYTES":
        elements: st.SearchStrategy[Any] = st.text(max_size=8)
    else:
        elements = hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    return datatype, draw(hnp.arrays(dtype, shape, elements=elements, fill=st.nothing()))


def same(left: Array, right: Array) -> bool:
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and left.ravel().tolist() == right.ravel().tolist()
    )


def signature_of(datatype: str, array: Array) -> Signature:
    spec = TensorSpec("t", datatype, (-1,) * array.ndim)
    return Signature(inputs=(spec,), outputs=(spec,))


@given(tensors(), st.booleans(), st.none() | st.text(max_size=5))
def test_a_request_gives_back_its_arrays(
    tensor: tuple[str, Array], nested: bool, identity: str | None
) -> None:
    datatype, array = tensor
    data = array.tolist() if nested and array.ndim else array.ravel().tolist()
    body = json.dumps(
        {
            "id": identity,
            "parameters": None,
            "inputs": [
                {"name": "t", "shape": array.shape, "datatype": datatype, "data": data}
                | {"parameters": None}
            ],
            "outputs": None,
        }
    ).encode()
    request = parse_request(body, None, signature_of(datatype, array))
    assert same(request.inputs["t"], array)
    assert [output.name for output in request.outputs] == ["t"]
    assert (request.id, request.rows) == (identity, len(array) if array.ndim else 1)


@given(tensors(), st.text(max_size=5))
def test_a_response_gives_back_its_arrays(tensor: tuple[str, Array], identity: str) -> None:
    datatype, array = tensor
    request = InferenceRequest(None, {}, (RequestedOutput("t", datatype),))
    body, length = build_response("m", "7", request, {"t": array, "other": array}, identity, ())
    response = orjson.loads(body)
    assert length is None
    assert (response["model_name"], response["model_version"]) == ("m", "7")
    assert response["id"] == identity
    (output,) = response["outputs"]
    assert output["datatype"] == datatype == datatype_of(array)
    again = np.array(output["data"], dtype=DTYPES[datatype]).reshape(output["shape"])
    assert same(again, array)


def x_tensor(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4.5]]}
    return tensor | changes


N = {"name": "n", "shape": [1], "datatype": "UINT8", "data": [7]}


def request_with(*tensors: Any, **fields: Any) -> bytes:
    return json.dumps({"inputs": list(tensors)} | fields).encode()


def refusal(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as refused:
        parse_request(body, None, SIGNATURE)
    return refused.value


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": None}, "has no name"),
        ({"name": "z"}, 'no input "z"; it has x, n'),
        ({"name": "n"}, 'input "n": datatype must be "UINT8", not "FP32"'),
        ({"datatype": "FP64"}, 'datatype must be "FP32", not "FP64"'),
        ({"datatype": None}, "not null"),
        ({"shape": None}, "shape must be a list"),
        ({"shape": [2, -2]}, "whole numbers from 0"),
        ({"shape": [True, 2]}, "whole numbers from 0"),
        ({"shape": [2, 2.0]}, "whole numbers from 0"),
        ({"shape": [4]}, "shape [4] does not fit the model's [-1, 2]"),
        ({"shape": [2, 3]}, "does not fit the model's [-1, 2]"),
        ({"shape": [3, 2]}, "its shape says [3, 2]"),
        ({"shape": [3, 2], "data": [1, 2]}, "takes 6 elements, data has 2"),
        ({"shape": [2**30, 2], "data": []}, "holds more than 2147483647 elements"),
        ({"shape": [2**63, 2], "data": []}, "holds more than 2147483647 elements"),
        ({"data": None}, "data must be a list"),
        ({"data": "1234"}, "data must be a list"),
        ({"data": [[1, 2], [3]]}, "ragged"),
        ({"data": [[1, 2], 3, 4]}, "ragged"),
        ({"data": [1, 2, 3, [4]]}, "data has a list among its elements"),
        ({"data": [[1], [2], [3], [4]]}, "nested as [4, 1]"),
        ({"data": [1, 2, 3, None]}, "FP32 takes numbers, data has null"),
        ({"data": [1, 2, 3, True]}, "data has true"),
        ({"data": [1, 2, 3, "4"]}, "data has '4'"),
        ({"data": [1, 2, 3, {}]}, "data has an object"),
        ({"data": [1, 2, 3, 1e300]}, "too large for FP32"),
        ({"parameters": []}, "parameters must be an object or null"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(changes: dict[str, Any], sentence: str) -> None:
    refused = refusal(request_with(x_tensor(**changes), N))
    assert refused.status == 400
    assert sentence in str(refused)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [([256], "out of range for UINT8"), ([-1], "out of range"), ([1.0], "takes whole numbers")],
)
def test_whole_numbers_are_never_bent(data: list[Any], sentence: str) -> None:
    assert sentence in str(refusal(request_with(x_tensor(), N | {"data": data})))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"inputs": [NaN]}', "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "inputs must be a list of objects"),
        (b'{"inputs": null}', "inputs must be a list of objects"),
        (b'{"inputs": [1]}', "inputs must be a list of objects"),
        (b'{"inputs": []}', 'lacks the model\'s input "x", "n"'),
        (request_with(x_tensor()), 'lacks the model\'s input "n"'),
        (request_with(x_tensor(), N, N), 'input "n" is given twice'),
        (request_with(x_tensor(), N, id=5), "id must be a string or null"),
        (request_with(x_tensor(), N, parameters=[]), "parameters must be an object"),
        (request_with(x_tensor(), N, outputs={}), "outputs must be a list"),
        (request_with(x_tensor(), N, outputs=["y"]), "outputs must be a list of objects"),
        (
            request_with(x_tensor(), N, outputs=[{"name": "labl"}]),
            'no output "labl" (did you mean "label"?); it has y, label',
        ),
    ],
)
def test_a_request_that_is_none_is_refused(body: bytes, sentence: str) -> None:
    refused = refusal(body)
    assert refused.status == 400
    assert sentence in str(refused)


def test_outputs_are_given_as_requested() -> None:
    for fields, wanted in (
        ({}, ("y", "label")),
        ({"outputs": []}, ("y", "label")),
        ({"outputs": [{"name": "label", "parameters": None}]}, ("label",)),
    ):
        body = request_with(x_tensor(), N, **fields)
        names = [output.name for output in parse_request(body, None, SIGNATURE).outputs]
        assert tuple(names) == wanted


ESCAPED = [r'"\\"', r'"\\\"[["', r'"\\\\[["', r'"\n\\\"]\""']
TEXTS = [*ESCAPED, '"[["', '"\\"[["', '"]"', '["", "[", "]", ""]', '{"[": "{", "": ""}']


@given(st.integers(DEPTH_LIMIT - 2, DEPTH_LIMIT + 40), st.sampled_from(TEXTS))
def test_depth_is_limited_whatever_the_strings_hold(depth: int, text: str) -> None:
    value = f'{{"x": {text}, "y": {"[" * (depth - 1)}{text}{"]" * (depth - 1)}}}'
    too_deep = "nested deeper" in str(refusal(value.encode()))
    assert too_deep == (depth + (text[0] in "[{") > DEPTH_LIMIT)


def test_escapes_take_no_more_memory_than_the_text() -> None:
    deep = b"[" * 101 + b"]" * 101
    text = b'{"id":"%b%b","a":%b}' % (rb"\"" * 500_000, rb"\\" * 500_000, deep)
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="nested deeper than 100"):
            parse_json(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(text)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    rows = [[float(row), 0.0] for row in range(3 * DEPTH_LIMIT)]
    request = parse_request(
        request_with(x_tensor(shape=[len(rows), 2], data=rows), N), None, SIGNATURE
    )
    assert request.inputs["x"].tolist() == rows


def test_lists_that_hold_nothing_are_not_multiplied_in_memory() -> None:
    assert "lists and objects; send data flat" in str(refusal(b"[" + b"[]," * LISTS_LIMIT + b"1]"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_json_cannot_hold_is_refused(value: float) -> None:
    request = InferenceRequest(None, {}, (RequestedOutput("y", "FP64"),))
    with pytest.raises(RequestError, match=r'output "y" has NaN or infinite.* in binary'):
        build_response("m", "1", request, {"y": np.array([1.0, value])}, "", ())
    build_response("m", "1", InferenceRequest(None, {}, ()), {"y": np.array([value])}, "", ())


def test_half_precision_goes_in_binary_alone() -> None:
    spec = TensorSpec("h", "FP16", (1,))
    tensor = {"name": "h", "shape": [1], "datatype": "FP16", "data": [1]}
    with pytest.raises(RequestError, match="JSON can't hold FP16"):
        parse_request(request_with(tensor), None, Signature((spec,), (spec,)))
    half = np.ones(1, np.float16)
    request = InferenceRequest(None, {}, (RequestedOutput("h", "FP16"),))
    with pytest.raises(RequestError, match="JSON can't hold"):
        build_response("m", "1", request, {"h": half}, "", ())


def test_of_many_names_a_refusal_lists_a_few() -> None:
    specs = tuple(TensorSpec(f"column {place}", "FP32", (-1, 1)) for place in range(300))
    for tensors in ([], [{"name": "column"}]):
        with pytest.raises(RequestError, match="and 288 more") as refused:
            parse_request(request_with(*tensors), None, Signature(specs, ()))
        assert len(str(refused.value)) < 400
