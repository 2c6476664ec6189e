"""Valid bodies for models of all kinds, and what must hold whatever a body is made into."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.building import build_response
from mlbench.serving.protocol.parsing import InferenceRequest, RequestedOutput, parse_request
from mlbench.serving.protocol.predictions import build_predictions
from mlbench.serving.protocol.rows import parse_rows
from mlbench.serving.protocol.tensors import DTYPES, Array
from mlbench.serving.refusals import RequestError

SCORES = (TensorSpec("label", "BYTES", (-1,)), TensorSpec("scores", "FP32", (-1, 2)))
SIGNATURES = (
    Signature((TensorSpec("x", "FP32", (-1, 4)),), SCORES, ("no", "yes"), ("a", "b", "c", "d")),
    Signature(
        (
            TensorSpec("age", "FP64", (-1, 1)),
            TensorSpec("visits", "INT64", (-1, 1)),
            TensorSpec("town", "BYTES", (-1,)),
            TensorSpec("member", "BOOL", (-1, 1)),
        ),
        (TensorSpec("prediction", "FP64", (-1, 1)), TensorSpec("built", "UINT8", (1,))),
    ),
    Signature((TensorSpec("pixels", "UINT8", (-1, -1, 2)),), (TensorSpec("y", "INT64", (-1,)),)),
    Signature((TensorSpec("h", "FP16", (-1, 2)),), (TensorSpec("y", "FP16", (-1,)),)),
    Signature((TensorSpec("b", "BF16", (-1, -1)),), (TensorSpec("y", "BF16", (-1,)),)),
    Signature((TensorSpec("t", "BYTES", (-1,)),), SCORES, ("no", "yes")),
    Signature((TensorSpec("one", "INT8", ()),), (TensorSpec("y", "BOOL", ()),)),
)
JSON, ROWS, RAW, MIXED = range(4)
"""How a body is read: JSON alone, records, nothing but bytes, or JSON and bytes after it."""


def seeds() -> Iterator[bytes]:
    """A valid input for `check` of every way to ask each of the models."""
    for place, signature in enumerate(SIGNATURES):
        for body in _records(signature):
            yield bytes([place, ROWS]) + json.dumps(body).encode()
        arrays = [_array(spec) for spec in signature.inputs]
        pairs = list(zip(signature.inputs, arrays, strict=True))
        asked: list[dict[str, Any]] = [
            {"name": spec.name, "parameters": {"binary_data": True}} for spec in signature.outputs
        ]
        if all(spec.datatype not in ("FP16", "BF16") for spec in signature.inputs):
            tensors = [
                {**_named(spec, array), "data": array.ravel().tolist()} for spec, array in pairs
            ]
            for fields in ({}, {"id": "é", "outputs": asked}, {"parameters": None}):
                yield bytes([place, JSON]) + json.dumps({"inputs": tensors} | fields).encode()
        chunks = [_bytes(spec, array) for spec, array in pairs]
        sized = [
            {**_named(spec, array), "parameters": {"binary_data_size": len(chunk)}}
            for (spec, array), chunk in zip(pairs, chunks, strict=True)
        ]
        text = json.dumps({"inputs": sized, "parameters": {"binary_data_output": True}}).encode()
        yield bytes([place, MIXED]) + struct.pack("<H", len(text)) + text + b"".join(chunks)
        if len(pairs) == 1 and signature.inputs[0].datatype != "BYTES":
            yield bytes([place, RAW]) + chunks[0]


def dictionary() -> Iterator[bytes]:
    """The words of the protocol, for whatever makes bodies out of others."""
    keys = "inputs outputs parameters name shape datatype data id rows instances".split()
    parameters = "binary_data_size binary_data binary_data_output classification".split()
    yield from (f'"{word}":'.encode() for word in [*keys, *parameters])
    yield from (f'"{name}"'.encode() for name in [*DTYPES, "BF16"])
    yield from (b"null", b"NaN", b"1e400", b"-1", b"2147483648", b"18446744073709551615")
    yield from (b"[[", b"[]", b"{}", b'\\"', b'"\\ud800"', b"true")


def check(data: bytes) -> InferenceRequest | None:
    """Read an input as its first two bytes say, and answer it; None where it is refused.

    Whatever the rest holds, a refusal is one of status 400 and a sentence, the arrays are such as
    the model takes, and they are in proportion to the body.
    """
    if len(data) < (4 if data[1:2] and data[1] % 4 == MIXED else 2):
        return None
    signature, way, rest = SIGNATURES[data[0] % len(SIGNATURES)], data[1] % 4, data[2:]
    try:
        request = _parsed(signature, way, rest)
    except RequestError as error:
        _check_refusal(error)
        return None
    for spec in signature.inputs:
        _check_array(request.inputs[spec.name], spec, len(rest))
    _answer(signature, request, way)
    return request


def _parsed(signature: Signature, way: int, rest: bytes) -> InferenceRequest:
    if way == ROWS:
        return parse_rows(rest, signature)
    if way == MIXED:
        return parse_request(rest[2:], struct.unpack_from("<H", rest)[0], signature)
    return parse_request(rest, 0 if way == RAW else None, signature)


def _check_refusal(error: RequestError) -> None:
    assert error.status == 400, error.status
    assert 10 < len(str(error)) < 1000, f"a refusal is a sentence, not {error}"


def _check_array(array: Array, spec: TensorSpec, size: int) -> None:
    assert array.dtype == (np.float32 if spec.datatype == "BF16" else DTYPES[spec.datatype])
    assert array.ndim == len(spec.shape)
    assert all(have in (-1, want) for have, want in zip(spec.shape, array.shape, strict=True))
    assert array.flags.aligned
    # The tightest are a byte of INT8 each, and "1," for eight bytes of FP64.
    assert array.nbytes <= 4 * size + 8


def _answer(signature: Signature, request: InferenceRequest, way: int) -> None:
    """What a model might give for such a request goes back without an error, NaN in JSON aside."""
    rows = min(request.rows, 64)
    outputs = {spec.name: _output(spec, rows) for spec in signature.outputs}
    asked = [output._replace(classes=min(output.classes, 3)) for output in request.outputs]
    taken = InferenceRequest(
        request.id, {}, tuple(asked), rows, request.parameters, request.ignored
    )
    if way == ROWS:
        build_predictions("m", "1", taken, outputs, "7", signature)
        return
    try:
        build_response("m", "1", taken, outputs, "7", signature.classes)
    except RequestError as error:
        _check_refusal(error)
        is_expected = any(map(_is_refused, asked))
    else:
        is_expected = not any(map(_is_refused, asked))
    assert is_expected, asked


def _is_refused(output: RequestedOutput) -> bool:
    """Whether an output can't be given as it is asked for: a ranking of texts, halves in JSON."""
    if output.classes:
        return output.datatype in ("BYTES", "BOOL", "FP16")
    return output.datatype in ("FP16", "BF16") and not output.is_binary


def _output(spec: TensorSpec, rows: int) -> Array:
    shape = [rows if size < 0 else size for size in spec.shape]
    if spec.datatype == "BYTES":
        return np.full(shape, "yes", dtype=object)
    return np.zeros(shape, np.float32 if spec.datatype == "BF16" else DTYPES[spec.datatype])


def _array(spec: TensorSpec) -> Array:
    return _output(spec, 2)


def _named(spec: TensorSpec, array: Array) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(array.shape)}


def _bytes(spec: TensorSpec, array: Array) -> bytes:
    if spec.datatype == "BYTES":
        texts = [text.encode() for text in array.ravel().tolist()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if spec.datatype == "BF16":
        return (array.view(np.uint32) >> 16).astype("<u2").tobytes()
    return array.tobytes()


def _records(signature: Signature) -> Iterator[Any]:
    names = signature.columns or [spec.name for spec in signature.inputs]
    columns = {spec.name: _array(spec).tolist() for spec in signature.inputs}
    if signature.columns:
        yield [dict.fromkeys(names, 1.5), dict.fromkeys(names)]
        yield {"rows": [[1, 2, 3, 4]], "id": "7"}
    elif all(spec.shape for spec in signature.inputs):
        yield [{name: columns[name][row] for name in names} for row in (0, 1)]
        yield {"instances": [{name: columns[name][0] for name in names}]}
