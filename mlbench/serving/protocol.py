"""The JSON of the Open Inference Protocol V2, pure: bytes to arrays and arrays to bytes.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.yaml). The binary data
extension is not spoken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import orjson

from mlbench.domain.errors import nearest
from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.tensors import (
    BINARY_ONLY,
    Array,
    array_from_json,
    datatype_of,
    fits,
    json_data,
)

DEPTH_LIMIT = 100

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))


class RequestError(Exception):
    """A request that is refused: the HTTP status, one sentence why, and for 405 what is allowed."""

    def __init__(self, status: int, sentence: str, allow: str = "") -> None:
        """Keep the status beside the sentence, which becomes the body's `error`."""
        super().__init__(sentence)
        self.status = status
        self.allow = allow


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A request checked against a signature: every input, and the outputs to give in order."""

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]


def parse_request(body: bytes, signature: Signature) -> InferenceRequest:
    """The request in a body; RequestError 400 with what is wrong where it doesn't fit."""
    if _nested_too_deep(body):
        raise RequestError(400, f"the body is nested deeper than {DEPTH_LIMIT} levels")
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise RequestError(400, "the body must be a JSON object")
    _optional(request, "parameters", dict, "the request")
    return InferenceRequest(
        id=_optional(request, "id", str, "the request"),
        inputs=_inputs(request.get("inputs"), signature.inputs),
        outputs=_requested(request, signature.outputs),
    )


def build_response(
    model: str, version: str, request: InferenceRequest, outputs: Mapping[str, Array]
) -> bytes:
    """The body that answers a request; RequestError 500 where JSON can't hold an output."""
    response: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id is not None:
        response["id"] = request.id
    response["outputs"] = [_output(name, outputs[name]) for name in request.outputs]
    return orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)


def describe(tensors: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    """Tensors as the model's metadata lists them."""
    return [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        for tensor in tensors
    ]


def _output(name: str, array: Array) -> dict[str, Any]:
    datatype = datatype_of(array)
    if datatype in BINARY_ONLY:
        raise RequestError(501, f'output "{name}" is {datatype}, which JSON can\'t hold')
    try:
        data = json_data(array)
    except ValueError as error:
        raise RequestError(500, f'output "{name}" {error}') from None
    return {"name": name, "datatype": datatype, "shape": array.shape, "data": data}


def _inputs(tensors: Any, signature: Sequence[TensorSpec]) -> dict[str, Array]:
    """Every input of the signature, once each and no other."""
    specs = {spec.name: spec for spec in signature}
    arrays: dict[str, Array] = {}
    for tensor in _objects(tensors, "inputs"):
        name = _name(tensor, "input", specs)
        if name in arrays:
            raise RequestError(400, f'input "{name}" is given twice')
        arrays[name] = _input(tensor, specs[name])
    missing = [f'"{name}"' for name in specs if name not in arrays]
    if missing:
        raise RequestError(400, f"the request lacks the model's input {', '.join(missing)}")
    return arrays


def _input(tensor: Mapping[str, Any], spec: TensorSpec) -> Array:
    where = f'input "{spec.name}"'
    _optional(tensor, "parameters", dict, where)
    datatype, shape, data = (tensor.get(key) for key in ("datatype", "shape", "data"))
    if datatype != spec.datatype:
        found = orjson.dumps(datatype).decode()[:40]
        raise RequestError(400, f'{where}: datatype must be "{spec.datatype}", not {found}')
    if datatype in BINARY_ONLY:
        raise RequestError(400, f"{where}: JSON can't hold {datatype}; export the model with FP32")
    if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape):
        raise RequestError(400, f"{where}: shape must be a list of whole numbers from 0")
    if not fits(tuple(shape), spec):
        raise RequestError(
            400, f"{where}: shape {shape} does not fit the model's {list(spec.shape)}"
        )
    if not isinstance(data, list):
        raise RequestError(400, f"{where}: data must be a list, flat or nested")
    try:
        return array_from_json(datatype, tuple(shape), data)
    except ValueError as error:
        raise RequestError(400, f"{where}: {error}") from None


def _requested(request: Mapping[str, Any], signature: Sequence[TensorSpec]) -> tuple[str, ...]:
    """The outputs that a request names, in its order; all of them where it names none."""
    names = tuple(spec.name for spec in signature)
    if not request.get("outputs"):
        _optional(request, "outputs", list, "the request")
        return names
    requested = []
    for tensor in _objects(request["outputs"], "outputs"):
        _optional(tensor, "parameters", dict, "an output")
        requested.append(_name(tensor, "output", names))
    return tuple(requested)


def _objects(values: Any, key: str) -> list[dict[str, Any]]:
    if not isinstance(values, list) or any(not isinstance(value, dict) for value in values):
        raise RequestError(400, f"{key} must be a list of objects, one a tensor")
    return values


def _name(tensor: Mapping[str, Any], what: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    name = tensor.get("name")
    if not isinstance(name, str):
        raise RequestError(400, f"an {what} has no name")
    if name not in known:
        have = ", ".join(known)
        raise RequestError(
            400, f'the model has no {what} "{name}"{nearest(name, known)}; it has {have}'
        )
    return name


def _optional(values: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    """A field that may be missing or null; RequestError where it is of another kind."""
    value = values.get(key)
    if value is not None and not isinstance(value, kind):
        words: dict[type, str] = {str: "a string", dict: "an object", list: "a list"}
        raise RequestError(400, f"{where}: {key} must be {words[kind]} or null")
    return value


def _nested_too_deep(body: bytes) -> bool:
    """Whether JSON text opens more than DEPTH_LIMIT lists and objects within each other."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_LIMIT:
        return False
    text = _ESCAPE.sub(b"", body) if b"\\" in body else body
    brackets = _STRING.sub(b"", text.translate(None, _NOT_STRUCTURE))
    steps = (1 if bracket in b"[{" else -1 for bracket in brackets)
    return any(depth > DEPTH_LIMIT for depth in accumulate(steps))
