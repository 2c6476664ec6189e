"""JSON Schemas (draft 2020-12) of what models take and give, made from their own signatures. Pure.

JSON Schema can't tie `data` to `shape`. So beside the general form stand two exact ones, of one row
and of two, which programs that make requests can follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.rows import LISTS, columns_of
from mlbench.serving.protocol.tensors import BINARY_ONLY

Schema = dict[str, Any]

_EXACT_ELEMENTS = 4096
# From here on float32 rounds to infinity.
_FP32_END = float(2**128 - 2**103)

PARAMETERS: Schema = {
    "type": ["object", "null"],
    "properties": {
        "binary_data_output": {"type": ["boolean", "null"]},
        "sequence_id": {"type": ["integer", "string", "null"]},
        "sequence_start": {"type": ["boolean", "null"]},
        "sequence_end": {"type": ["boolean", "null"]},
        "priority": {"type": ["integer", "null"], "minimum": 0},
        "timeout": {"type": ["integer", "null"], "minimum": 0},
    },
    "propertyNames": {"not": {"pattern": "^triton_"}},
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}


def elements() -> dict[str, Schema]:
    """The schema of one element of each datatype that JSON can hold, by the datatype's name."""
    found: dict[str, Schema] = {
        "BOOL": {"type": "boolean"},
        "BYTES": {"type": "string"},
        "FP32": {
            "type": "number",
            "exclusiveMinimum": -_FP32_END,
            "exclusiveMaximum": _FP32_END,
        },
        "FP64": {"type": "number"},
    }
    for bits in (8, 16, 32, 64):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        found[f"INT{bits}"] = {"type": "integer", "minimum": low, "maximum": high}
        found[f"UINT{bits}"] = {"type": "integer", "minimum": 0, "maximum": 2**bits - 1}
    return found


def infer_request(signature: Signature) -> Schema:
    """What `infer` takes."""
    forms = [_inputs(signature.inputs, rows) for rows in (1, 2) if _is_exact(signature, rows)]
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": PARAMETERS,
            "inputs": {"anyOf": [*forms, _inputs(signature.inputs, None)]},
            "outputs": {
                "type": ["array", "null"],
                "prefixItems": [_requested_output(spec) for spec in signature.outputs],
                "items": False,
            },
        },
    }


def infer_response(signature: Signature) -> Schema:
    """What `infer` answers, in JSON."""
    names = [spec.name for spec in signature.outputs]
    output = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"enum": names},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }
    return _object(
        model_name={"type": "string"},
        model_version={"type": "string"},
        id={"type": "string"},
        outputs={"type": "array", "items": output},
    )


def infer_example(signature: Signature) -> Schema | None:
    """A request of one row of zeros; None where it would be long, or JSON has no such type."""
    if not _is_exact(signature, 1):
        return None
    return {"inputs": [_example(spec) for spec in signature.inputs]}


def predict_request(signature: Signature) -> Schema:
    """What `predict` takes: a list of records, that list under `rows` or `instances`, or one."""
    record = _record(signature)
    records = {"type": "array", "items": record, "minItems": 1}
    columns = columns_of(signature)
    wrapped = [
        {
            "type": "object",
            "required": [key],
            "properties": {key: records, "id": {"type": ["string", "null"]}},
        }
        for key in LISTS
        if key not in columns
    ]
    return {"anyOf": [records, *wrapped, *([record] if record.get("type") == "object" else [])]}


def predict_response() -> Schema:
    """What `predict` answers."""
    answer = _object(
        model={"type": "string"},
        version={"type": "string"},
        id={"type": "string"},
        predictions={"type": "array", "items": {"type": "object"}},
    )
    answer["properties"]["outputs"] = {"type": "object"}
    answer["properties"]["ignored"] = {"type": "array", "items": {"type": "string"}}
    return answer


def predict_example(signature: Signature) -> list[dict[str, Any]] | None:
    """A list of one record of zeros; None where its values are no single ones."""
    if len(signature.inputs) == 1 and signature.columns:
        value = _zero(signature.inputs[0])
        return [dict.fromkeys(signature.columns, value)]
    if any(math.prod(spec.shape[1:]) != 1 for spec in signature.inputs):
        return None
    return [{spec.name: _zero(spec) for spec in signature.inputs}]


def _inputs(specs: Sequence[TensorSpec], rows: int | None) -> Schema:
    """The list of inputs: of so many rows each, or of any number."""
    forms = [_any_input(spec) if rows is None else _exact_input(spec, rows) for spec in specs]
    if len(forms) == 1:
        return {"type": "array", "items": forms[0], "minItems": 1, "maxItems": 1}
    exact = {"prefixItems": forms, "items": False} if rows else {"items": {"anyOf": forms}}
    return {"type": "array", "minItems": len(forms), "maxItems": len(forms), **exact}


def _exact_input(spec: TensorSpec, rows: int) -> Schema:
    shape = _shape(spec, rows)
    count = math.prod(shape)
    return _object(
        name={"const": spec.name},
        datatype={"const": spec.datatype},
        shape={"const": shape},
        data={
            "type": "array",
            "items": _element(spec),
            "minItems": count,
            "maxItems": count,
        },
    )


def _any_input(spec: TensorSpec) -> Schema:
    sizes = [
        {"const": size} if size >= 0 else {"type": "integer", "minimum": 0} for size in spec.shape
    ]
    shape = {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}
    if not sizes:
        shape = {"type": "array", "maxItems": 0}
    found = _object(name={"const": spec.name}, datatype={"const": spec.datatype}, shape=shape)
    found["properties"]["data"] = {"type": ["array", "null"]}
    found["properties"]["parameters"] = {
        "type": ["object", "null"],
        "properties": {"binary_data_size": {"type": ["integer", "null"], "minimum": 0}},
    }
    return found


def _requested_output(spec: TensorSpec) -> Schema:
    found = _object(name={"const": spec.name})
    found["properties"]["parameters"] = {
        "type": ["object", "null"],
        "properties": {
            "binary_data": {"type": ["boolean", "null"]},
            "classification": {"type": ["integer", "null"], "minimum": 0},
        },
    }
    return found


def _record(signature: Signature) -> Schema:
    if len(signature.inputs) == 1 and signature.columns:
        spec = signature.inputs[0]
        return _object(**dict.fromkeys(signature.columns, _cell(spec)))
    return _object(**{spec.name: _cell_of(spec) for spec in signature.inputs})


def _cell_of(spec: TensorSpec) -> Schema:
    """What a record says of an input under its name: one value, or as many as its row has."""
    sizes = spec.shape[1:]
    if math.prod(sizes) == 1 or any(size < 0 for size in sizes):
        return _cell(spec) if all(size == 1 for size in sizes) else {"type": "array"}
    count = math.prod(sizes)
    return {"type": "array", "items": _cell(spec), "minItems": count, "maxItems": count}


def _cell(spec: TensorSpec) -> Schema:
    element = _element(spec)
    is_float = spec.datatype.startswith("FP") or spec.datatype in BINARY_ONLY
    return {"anyOf": [element, {"type": "null"}]} if is_float else element


def _element(spec: TensorSpec) -> Schema:
    name = "FP32" if spec.datatype in BINARY_ONLY else spec.datatype
    return {"$ref": f"#/components/schemas/{name}"}


def _is_exact(signature: Signature, rows: int) -> bool:
    """Whether a request of so many rows is short enough to be written out, and JSON holds it."""
    specs = signature.inputs
    is_batched = all(spec.shape and spec.shape[0] < 0 for spec in specs)
    sizes = [math.prod(_shape(spec, rows)) for spec in specs]
    speaks_json = not any(spec.datatype in BINARY_ONLY for spec in specs)
    return speaks_json and sum(sizes) <= _EXACT_ELEMENTS and (rows == 1 or is_batched)


def _shape(spec: TensorSpec, rows: int) -> list[int]:
    free = [rows] + [1] * len(spec.shape)
    return [free[place] if size < 0 else size for place, size in enumerate(spec.shape)]


def _example(spec: TensorSpec) -> Schema:
    shape = _shape(spec, 1)
    data = [_zero(spec)] * math.prod(shape)
    return {"name": spec.name, "shape": shape, "datatype": spec.datatype, "data": data}


def _zero(spec: TensorSpec) -> Any:
    zeros: dict[str, Any] = {"BYTES": "", "BOOL": False}
    return zeros.get(spec.datatype, 0)


def _object(**properties: Schema) -> Schema:
    """An object that has all of these properties, and may have more."""
    return {"type": "object", "required": list(properties), "properties": properties}
