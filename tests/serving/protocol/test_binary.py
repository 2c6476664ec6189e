"""Binary tensors after the JSON: what goes in comes out, and wrong sizes are refused."""

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
from mlbench.serving.protocol.binary import bfloat16_bits
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import InferenceRequest, RequestedOutput, parse_request
from mlbench.serving.protocol.tensors import DTYPES, Array
from mlbench.serving.refusals import RequestError

MATRIX = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),))
TEXT = Signature((TensorSpec("t", "BYTES", (-1,)),), (TensorSpec("y", "FP32", (-1,)),))
PAIR = Signature((*MATRIX.inputs, *TEXT.inputs), MATRIX.outputs)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, Array]:
    """A datatype and any array of it, NaN and infinity too; of BF16, what it holds exactly."""
    datatype = draw(st.sampled_from([*DTYPES, "BF16"]))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    if datatype == "BYTES":
        texts = st.text(max_size=8)
        return datatype, draw(hnp.arrays(object, shape, elements=texts, fill=st.nothing()))
    if datatype == "BF16":
        bits = draw(hnp.arrays(np.uint16, shape))
        return datatype, np.asarray(bits.astype(np.uint32) << 16).view(np.float32)
    return datatype, draw(hnp.arrays(DTYPES[datatype], shape))


def raw(datatype: str, array: Array) -> bytes:
    """An array's bytes, written without the code under test."""
    if datatype == "BYTES":
        texts = [text.encode() for text in array.ravel().tolist()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if datatype == "BF16":
        return (array.view(np.uint32) >> 16).astype("<u2").tobytes()
    return array.tobytes()


def tensor(name: str, datatype: str, shape: Any, size: int | None, **fields: Any) -> dict[str, Any]:
    found = {"name": name, "datatype": datatype, "shape": list(shape), **fields}
    return found if size is None else found | {"parameters": {"binary_data_size": size}}


def parsed(
    signature: Signature, tensors: list[Any], tail: bytes, pad: int = 0, **fields: Any
) -> InferenceRequest:
    text = json.dumps({"inputs": tensors, **fields}).encode() + b" " * pad
    return parse_request(text + tail, len(text), signature)


@given(arrays(), st.integers(0, 8))
def test_binary_gives_back_its_arrays_wherever_the_json_ends(
    found: tuple[str, Array], pad: int
) -> None:
    datatype, array = found
    spec = TensorSpec("x", datatype, (-1,) * array.ndim)
    data = raw(datatype, array)
    request = parsed(
        Signature((spec,), (spec,)),
        [tensor("x", datatype, array.shape, len(data))],
        data,
        pad,
        parameters={"binary_data_output": True},
    )
    again = request.inputs["x"]
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.flags.aligned
    assert raw(datatype, again) == data

    body, length = build_response("m", "1", request, {"x": again}, "id", ())
    assert length is not None
    (output,) = orjson.loads(body[:length])["outputs"]
    assert output == tensor("x", datatype, array.shape, len(data))
    if datatype != "BF16" or not np.isnan(array).any():
        assert body[length:] == data


def test_aligned_numbers_are_read_where_they_lie() -> None:
    data = np.arange(4, dtype=np.float32)
    text = json.dumps({"inputs": [tensor("x", "FP32", (2, 2), 16)]}).encode()
    body = text + b" " * (-len(text) % 4) + data.tobytes()
    array = parse_request(body, len(body) - 16, MATRIX).inputs["x"]
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_binary_and_json_may_stand_side_by_side() -> None:
    x = np.array([[1, np.nan]], np.float32)
    request = parsed(
        PAIR,
        [tensor("t", "BYTES", [1], None, data=["é"]), tensor("x", "FP32", [1, 2], 8)],
        x.tobytes(),
    )
    assert request.inputs["t"].tolist() == ["é"]
    np.testing.assert_array_equal(request.inputs["x"], x)
    both = [tensor("x", "FP32", [1, 2], 8), tensor("t", "BYTES", [1], 6)]
    request = parsed(PAIR, both, x.tobytes() + struct.pack("<I", 2) + b"ab")
    assert request.inputs["t"].tolist() == ["ab"]


@pytest.mark.parametrize(
    ("tensors", "tail", "sentence"),
    [
        ([tensor("x", "FP32", [1, 2], 8)], b"1234567", "binary_data_size is 8, only 7 bytes"),
        ([tensor("x", "FP32", [1, 2], 7)], b"1234567", "takes 8 bytes, not 7"),
        ([tensor("x", "FP32", [1, 2], 8)], b"123456789", "9 bytes follow the JSON.* take 8"),
        ([tensor("x", "FP32", [1, 2], None, data=[1, 2])], b"1", "1 bytes follow the JSON"),
        ([tensor("x", "FP32", [1, 2], -1)], b"", "must be a whole number from 0"),
        ([tensor("x", "FP32", [1, 2], 8, data=[1, 2])], b"12345678", "not both"),
        ([tensor("x", "FP32", [2**30, 2**30], 8)], b"12345678", "does not fit"),
        ([tensor("x", "FP32", [2**30, 2], 8)], b"12345678", "more than 2147483647 elements"),
    ],
)
def test_sizes_must_add_up(tensors: list[Any], tail: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        parsed(MATRIX, tensors, tail)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("shape", "tail", "sentence"),
    [
        ([1], struct.pack("<I", 9) + b"ab", "end within element 1 of 1"),
        ([1], struct.pack("<I", 1) + b"ab", "1 bytes after its 1 elements"),
        ([2], struct.pack("<I", 1) + b"abc", "take more than 7 bytes"),
        ([2], struct.pack("<I", 4) + b"abcd", "end within element 2"),
        ([1], struct.pack("<I", 1) + b"\xff", "texts in UTF-8"),
        ([2**31 - 1], b"", "take more than 0 bytes"),
    ],
)
def test_texts_must_be_whole(shape: list[int], tail: bytes, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        parsed(TEXT, [tensor("t", "BYTES", shape, len(tail))], tail)
    assert refused.value.status == 400


def test_a_truth_value_is_a_byte_of_0_or_1() -> None:
    signature = Signature((TensorSpec("b", "BOOL", (-1,)),), ())
    assert parsed(signature, [tensor("b", "BOOL", [2], 2)], b"\0\1").inputs["b"].tolist() == [0, 1]
    with pytest.raises(RequestError, match="the bytes 0 and 1"):
        parsed(signature, [tensor("b", "BOOL", [2], 2)], b"\0\2")


@pytest.mark.parametrize("length", [-1, 3, 10**12])
def test_the_json_must_be_as_long_as_it_says(length: int) -> None:
    with pytest.raises(RequestError, match=r"the JSON should be|not JSON") as refused:
        parse_request(b"{}", length, MATRIX)
    assert refused.value.status == 400


def test_a_raw_body_is_the_only_input() -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    request = parse_request(x.tobytes(), 0, MATRIX)
    np.testing.assert_array_equal(request.inputs["x"], x)
    assert request.rows == 3
    assert request.outputs == (RequestedOutput("y", "FP32", is_binary=True),)
    assert parse_request("né".encode(), 0, TEXT).inputs["t"].tolist() == ["né"]
    several = Signature((TensorSpec("x", "UINT8", (-1, -1)),), ())
    assert parse_request(b"abc", 0, several).inputs["x"].shape == (1, 3)
    for signature, body, sentence in (
        (MATRIX, b"1234567", "takes 0 bytes, not 7"),
        (PAIR, b"", "holds one input, the model takes 2"),
        (TEXT, b"\xff", "UTF-8"),
        (Signature((TensorSpec("x", "UINT8", (1, -1, -1)),), ()), b"", "can't say which shape"),
        (Signature((TensorSpec("t", "BYTES", (-1, 2)),), ()), b"", "one text, the model takes 2"),
        (Signature((TensorSpec("x", "UINT8", (-1, 0)),), ()), b"1", "takes 0 bytes, not 1"),
    ):
        with pytest.raises(RequestError, match=sentence) as refused:
            parse_request(body, 0, signature)
        assert refused.value.status == 400


@given(hnp.arrays(np.float32, 8, elements=st.floats(-(2.0**126), 2.0**126, width=32)))
def test_bfloat16_is_the_nearest(values: Array) -> None:
    bits = bfloat16_bits(values)
    assert bits.dtype == np.uint16
    nearest = (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    for step in (-1, 1):
        beside = (bits.astype(np.int32) + step).astype(np.uint16)
        other = (beside.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        usable = np.isfinite(other) & np.isfinite(nearest)
        exact = values.astype(np.float64)
        assert (np.abs(nearest - exact) <= np.abs(other - exact))[usable].all()


def test_bfloat16_keeps_nan() -> None:
    quiet = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan((bfloat16_bits(quiet).astype(np.uint32) << 16).view(np.float32)).all()
