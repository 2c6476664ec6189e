"""The outputs of an answer as arrays, read back from its body. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlbench.serving.protocol.binary import array_from_bytes
from mlbench.serving.protocol.json_text import parse_json
from mlbench.serving.protocol.tensors import DTYPES, Array
from mlbench.serving.refusals import RequestError

_FLOAT32 = np.dtype(np.float32)


def outputs_of(body: bytes, header_length: int | None, *, is_rows: bool) -> dict[str, Array]:
    """Every output of an answer by its name; ValueError where it is none.

    Of an answer to rows, scores by class are an array each, `NAME.CLASS`.
    """
    try:
        answer = parse_json(body if header_length is None else body[:header_length])
        if is_rows:
            return _predictions(answer["predictions"])
        return _tensors(answer["outputs"], body, header_length or 0)
    except (KeyError, TypeError, AttributeError, OverflowError, RequestError) as error:
        raise ValueError(f"the answer can't be read ({error})") from None


def _tensors(tensors: Sequence[Mapping[str, Any]], body: bytes, at: int) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for tensor in tensors:
        datatype, shape = str(tensor["datatype"]), tuple(map(int, tensor["shape"]))
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is None:
            values = np.array(tensor["data"], DTYPES.get(datatype, _FLOAT32))
            found[tensor["name"]] = values.reshape(shape)
        else:
            found[tensor["name"]] = array_from_bytes(datatype, shape, body, at, int(size))
            at += int(size)
    return found


def _predictions(records: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    columns: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.items():
            if isinstance(value, dict):
                for key, inner in value.items():
                    columns.setdefault(f"{name}.{key}", []).append(inner)
            else:
                columns.setdefault(name, []).append(value)
    return {name: _column(values) for name, values in columns.items()}


def _column(values: list[Any]) -> Array:
    """The values of all rows: texts, whole numbers or truths as they are, else floats."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return np.array(values, dtype=object)
    if kinds in ({int}, {bool}):
        return np.array(values)
    # NaN stands as null.
    filled = [math.nan if value is None else value for value in values]
    return np.array(filled, dtype=np.float64)
