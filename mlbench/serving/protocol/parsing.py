"""The body of an inference request to arrays: JSON, binary tensors after it, or raw bytes alone.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.yaml), and Triton's
protocol/extension_binary_data.md and extension_classification.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import orjson

from mlbench.domain.errors import nearest
from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.binary import array_from_bytes, element_size, text_of
from mlbench.serving.protocol.json_text import parse_json
from mlbench.serving.protocol.parameters import (
    NONE,
    Parameters,
    binary_size,
    output_parameters,
    request_parameters,
)
from mlbench.serving.protocol.tensors import (
    BINARY_ONLY,
    MOST_ELEMENTS,
    Array,
    array_from_json,
    checked_shape,
)
from mlbench.serving.refusals import RequestError

_NAMED = 12


class RequestedOutput(NamedTuple):
    """An output to give: as the signature has it, in binary or JSON, as its best `classes`.

    `classes` 0 gives the tensor itself; `is_batched` says that its first dimension is the rows.
    """

    name: str
    datatype: str
    is_binary: bool = False
    classes: int = 0
    is_batched: bool = True


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A request checked against a signature: every input, and the outputs to give in order.

    `rows` is the size of the first dimension that all inputs share; `parameters` are the request's
    own; `ignored` names what records said beside the model's columns.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[RequestedOutput, ...]
    rows: int = 1
    parameters: Parameters = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def parse_request(
    body: bytes,
    header_length: int | None,
    signature: Signature,
    everything: tuple[RequestedOutput, ...] | None = None,
) -> InferenceRequest:
    """The request in a body; RequestError 400 with what is wrong where it doesn't fit.

    `everything` may bring `requested(signature)`, which is given where no output is named.

    `header_length` is how much of the body is JSON; None where all is, 0 where the body is nothing
    but the bytes of the model's only input. Arrays may be read-only views of the body.
    """
    if header_length == 0:
        return _raw(body, signature)
    if header_length is not None and not 0 < header_length <= len(body):
        raise RequestError(
            400,
            f"the JSON should be {header_length} bytes (Inference-Header-Content-Length), the body "
            f"has {len(body)}",
        )
    request = parse_json(body if header_length is None else body[:header_length])
    if type(request) is not dict:
        raise RequestError(400, "the body must be a JSON object")
    identity = request.get("id")
    if identity is not None and type(identity) is not str:
        raise RequestError(400, "the request: id must be a string or null")
    found = request.get("parameters")
    parameters = NONE if found is None else request_parameters(found)
    inputs = _inputs(request.get("inputs"), signature.inputs, body, header_length)
    rows = rows_of(inputs, signature.inputs)
    if everything is not None and request.get("outputs") is None and parameters is NONE:
        outputs = everything
    else:
        is_binary = parameters.get("binary_data_output") is True
        outputs = _outputs(request, signature.outputs, is_binary)
    return InferenceRequest(identity, inputs, outputs, rows, parameters)


def requested(signature: Signature, is_binary: bool = False) -> tuple[RequestedOutput, ...]:
    """Every output of a model, all in binary or all in JSON."""
    return tuple([_requested(spec, is_binary) for spec in signature.outputs])


def rows_of(inputs: Mapping[str, Array], signature: Sequence[TensorSpec]) -> int:
    """The rows that inputs share; RequestError 400 where they differ.

    Without an input whose first dimension is free it is the first input's first dimension.
    """
    rows, first = -1, ""
    for spec in signature:
        if spec.shape and spec.shape[0] < 0:
            size = len(inputs[spec.name])
            if rows < 0:
                rows, first = size, spec.name
            elif size != rows:
                raise RequestError(
                    400, f'input "{first}" has {rows} rows and input "{spec.name}" {size}'
                )
    if rows >= 0:
        return rows
    shape = signature[0].shape if signature else ()
    return shape[0] if shape else 1


def _inputs(
    tensors: Any, signature: Sequence[TensorSpec], body: bytes, header_length: int | None
) -> dict[str, Array]:
    """Every input of the signature, once each and no other; their binary data lies in a row."""
    specs = {spec.name: spec for spec in signature}
    arrays: dict[str, Array] = {}
    end = start = len(body) if header_length is None else header_length
    for tensor in _objects(tensors, "inputs"):
        name = tensor.get("name")
        spec = specs.get(name) if type(name) is str else None
        if spec is None:
            raise _unknown(name, "input", specs)
        if name in arrays:
            raise RequestError(400, f'input "{name}" is given twice')
        try:
            arrays[spec.name], end = _input(tensor, spec, body, end)
        except ValueError as error:
            raise RequestError(400, f'input "{name}": {error}') from None
    if end != len(body):
        raise RequestError(
            400,
            f"{len(body) - start} bytes follow the JSON, its inputs take {end - start} "
            "(binary_data_size)",
        )
    if len(arrays) != len(specs):
        missing = _listed([f'"{name}"' for name in specs if name not in arrays])
        raise RequestError(400, f"the request lacks the model's input {missing}")
    return arrays


def _input(
    tensor: Mapping[str, Any], spec: TensorSpec, body: bytes, start: int
) -> tuple[Array, int]:
    """The array of one input and where in the body the next one's bytes begin.

    ValueError says what is wrong, after the input's name.
    """
    datatype = tensor.get("datatype")
    if datatype != spec.datatype:
        found = orjson.dumps(datatype).decode()[:40]
        raise ValueError(f'datatype must be "{spec.datatype}", not {found}')
    shape = checked_shape(tensor.get("shape"), spec)
    data, parameters = tensor.get("data"), tensor.get("parameters")
    size = None if parameters is None else binary_size(parameters, f'input "{spec.name}"')
    if size is None:
        return _from_json(spec.datatype, shape, data), start
    if data is not None:
        raise ValueError("give either data or binary_data_size, not both")
    if size > len(body) - start:
        raise ValueError(
            f"binary_data_size is {size}, only {len(body) - start} bytes are left after the JSON "
            "(Inference-Header-Content-Length)"
        )
    return array_from_bytes(spec.datatype, shape, body, start, size), start + size


def _from_json(datatype: str, shape: tuple[int, ...], data: Any) -> Array:
    if datatype in BINARY_ONLY:
        raise ValueError(f"JSON can't hold {datatype}; send it in binary (binary_data_size)")
    if type(data) is not list:
        raise ValueError("data must be a list, flat or nested")
    return array_from_json(datatype, shape, data)


def _outputs(
    request: Mapping[str, Any], signature: Sequence[TensorSpec], is_binary: bool
) -> tuple[RequestedOutput, ...]:
    """The outputs that a request names, in its order; all of them where it names none."""
    tensors = request.get("outputs")
    if tensors is None or tensors == []:
        return tuple([_requested(spec, is_binary) for spec in signature])
    specs = {spec.name: spec for spec in signature}
    found: dict[str, RequestedOutput] = {}
    for tensor in _objects(tensors, "outputs"):
        name = tensor.get("name")
        spec = specs.get(name) if type(name) is str else None
        if spec is None:
            raise _unknown(name, "output", specs)
        if name in found:
            raise RequestError(400, f'output "{name}" is asked for twice')
        asked, classes = output_parameters(tensor.get("parameters"), f'output "{name}"')
        found[spec.name] = _requested(spec, is_binary if asked is None else asked, classes)
    return tuple(found.values())


def _requested(spec: TensorSpec, is_binary: bool, classes: int = 0) -> RequestedOutput:
    is_batched = bool(spec.shape) and spec.shape[0] < 0
    return RequestedOutput(spec.name, spec.datatype, is_binary, classes, is_batched)


def _raw(body: bytes, signature: Signature) -> InferenceRequest:
    """The model's only input, all of the body; its outputs go back in binary."""
    if len(signature.inputs) != 1:
        raise RequestError(
            400,
            f"a raw body holds one input, the model takes {len(signature.inputs)}; send JSON "
            "before the bytes (Inference-Header-Content-Length)",
        )
    (spec,) = signature.inputs
    try:
        array = _raw_text(body, spec) if spec.datatype == "BYTES" else _raw_array(body, spec)
    except ValueError as error:
        raise RequestError(400, f'input "{spec.name}": {error}') from None
    inputs = {spec.name: array}
    rows = rows_of(inputs, signature.inputs)
    return InferenceRequest(None, inputs, requested(signature, is_binary=True), rows)


def _raw_array(body: bytes, spec: TensorSpec) -> Array:
    """An array of as many rows as the bytes give; of one, where another dimension is free too."""
    shape = list(spec.shape)
    if sum(size < 0 for size in shape) > 1 and shape[0] < 0:
        shape[0] = 1
    free = [place for place, size in enumerate(shape) if size < 0]
    if len(free) > 1:
        raise ValueError(f"a raw body can't say which shape it has of {list(spec.shape)}")
    each = math.prod(size for size in shape if size >= 0) * (element_size(spec.datatype) or 1)
    for place in free:
        shape[place] = len(body) // each if each else 0
    if math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"shape {shape} holds more than {MOST_ELEMENTS} elements")
    return array_from_bytes(spec.datatype, tuple(shape), body, 0, len(body))


def _raw_text(body: bytes, spec: TensorSpec) -> Array:
    """A single text, the body as it is."""
    shape = [1 if size < 0 else size for size in spec.shape]
    if math.prod(shape) != 1:
        raise ValueError(f"a raw body is one text, the model takes {math.prod(shape)}")
    return np.full(shape, text_of(body), dtype=object)


def _objects(values: Any, key: str) -> list[dict[str, Any]]:
    if type(values) is not list or not set(map(type, values)) <= {dict}:
        raise RequestError(400, f"{key} must be a list of objects, one a tensor")
    return values


def _unknown(name: Any, what: str, known: Mapping[str, TensorSpec]) -> RequestError:
    if type(name) is not str:
        return RequestError(400, f"an {what} has no name")
    have, near = _listed(list(known)), nearest(name[:80], known)
    return RequestError(400, f'the model has no {what} "{name[:80]}"{near}; it has {have}')


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first few of many."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
