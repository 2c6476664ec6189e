"""The outputs in an answer's body, as arrays: pure, and for answers that this server wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from mlbench.serving.protocol.binary import array_from_bytes
from mlbench.serving.protocol.tensors import DTYPES, Array


def tensors_of(
    body: bytes, header_length: int | None, ranked: frozenset[str] = frozenset()
) -> dict[str, Array]:
    """The outputs of an answer to `infer`, by name; of those that were `ranked` the best alone.

    A ranking's texts are `score:place:class`: only which class is best can be compared.
    """
    answer = orjson.loads(body if header_length is None else body[:header_length])
    at = header_length or 0
    found = {}
    for tensor in answer["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        shape = tuple(tensor["shape"])
        if size is None:
            array = _array(tensor["datatype"], tensor["data"]).reshape(shape)
        else:
            array = array_from_bytes(tensor["datatype"], shape, body, at, size)
            at += size
        name = tensor["name"]
        found[name] = _best(array) if name in ranked else array
    return found


def predictions_of(body: bytes) -> dict[str, Array]:
    """What an answer to rows predicts, by name; scores by class are `NAME.CLASS`, a value a row."""
    answer = orjson.loads(body)
    columns: dict[str, list[Any]] = {}
    for row in answer["predictions"]:
        for name, value in _flat(row):
            columns.setdefault(name, []).append(value)
    columns.update(answer.get("outputs", {}))
    return {name: _column(values) for name, values in columns.items()}


def _flat(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (f"{name}.{key}" if key is not None else name, inner)
        for name, value in row.items()
        for key, inner in (value.items() if isinstance(value, dict) else [(None, value)])
    ]


def _column(values: Any) -> Array:
    """Numbers with NaN for null where there are fractions, whole numbers, or texts."""
    try:
        array = np.array(values)
        if array.dtype.kind == "O":
            array = np.array(values, dtype=np.float64)
    except (ValueError, TypeError):
        return np.array([orjson.dumps(value).decode() for value in values], dtype=object)
    return array.astype(object) if array.dtype.kind in "US" else array


def _array(datatype: str, data: Sequence[Any]) -> Array:
    dtype = np.dtype(np.float32) if datatype == "BF16" else DTYPES[datatype]
    made = np.empty(len(data), dtype=dtype)
    made[:] = data
    return made


def _best(array: Array) -> Array:
    """Of texts `score:place:class`, rows × k, what follows the score in each row's first."""
    rows = array.reshape(len(array), -1)[:, 0] if array.ndim > 1 else array[:1]
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in rows.tolist()]
    return np.array([text.partition(":")[2] for text in texts], dtype=object)
