"""Tensors of the Open Inference Protocol V2: its datatypes, and arrays from JSON `data`."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np

from mlbench.domain.release import TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
BINARY_ONLY = frozenset({"FP16", "BF16"})

_DATATYPES = {dtype: name for name, dtype in DTYPES.items()}
_ELEMENTS: dict[str, tuple[frozenset[type], str]] = {
    "b": (frozenset({bool}), "true and false"),
    "u": (frozenset({int}), "whole numbers"),
    "i": (frozenset({int}), "whole numbers"),
    "f": (frozenset({int, float}), "numbers"),
    "O": (frozenset({str}), "strings"),
}


def datatype_of(array: Array) -> str:
    """The protocol's name for an array's type; KeyError where it has none."""
    return "BYTES" if array.dtype.kind in "OUS" else _DATATYPES[array.dtype]


def one_row_of_zeros(spec: TensorSpec) -> Array:
    """The smallest array that fits a tensor of a signature: 1 for every free dimension."""
    shape = [1 if size < 0 else size for size in spec.shape]
    fill: Any = "" if spec.datatype == "BYTES" else 0
    return np.full(shape, fill, dtype=DTYPES[spec.datatype])


def fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    """Whether a shape is one that the signature allows, -1 there standing for any size."""
    return len(shape) == len(spec.shape) and all(
        size == allowed or allowed < 0 for size, allowed in zip(shape, spec.shape, strict=True)
    )


def array_from_json(datatype: str, shape: tuple[int, ...], data: list[Any]) -> Array:
    """The array of this datatype and shape whose elements `data` gives, flat or nested.

    Raises ValueError with what is wrong where the elements are too many, too few, ragged, of
    another type, or can't be held by the datatype.
    """
    flat = _flattened(shape, data)
    expected = math.prod(shape)
    if len(flat) != expected:
        raise ValueError(f"shape {list(shape)} takes {expected} elements, data has {len(flat)}")
    dtype = DTYPES[datatype]
    allowed, words = _ELEMENTS[dtype.kind]
    strange = set(map(type, flat)) - allowed
    if strange:
        found = next(value for value in flat if type(value) in strange)
        raise ValueError(f"{datatype} takes {words}, data has {_shown(found)}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype=dtype).reshape(shape)
    except (OverflowError, ValueError):
        raise ValueError(f"data or shape is out of range for {datatype}") from None
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"data has a number too large for {datatype}")
    return array


def json_data(array: Array) -> Any:
    """The flat `data` of an array, as orjson writes it; ValueError where JSON can't hold it."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("has NaN or infinite values, which JSON can't hold")
    flat = array.ravel()
    return flat.tolist() if flat.dtype.kind in "OUS" else flat


def _flattened(shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    """The elements in row-major order; nested data must be nested as its shape says."""
    sizes, level = [len(data)], data
    while level and isinstance(level[0], list):
        size = len(level[0])
        if any(not isinstance(row, list) or len(row) != size for row in level):
            raise ValueError("data is ragged: rows differ in length")
        sizes.append(size)
        level = list(chain.from_iterable(level))
    nested = tuple(sizes)
    whole = len(nested) == len(shape) or not level
    if len(nested) > 1 and not (whole and nested == shape[: len(nested)]):
        raise ValueError(f"data is nested as {list(nested)}, its shape says {list(shape)}")
    return level


def _shown(value: Any) -> str:
    """A found element as JSON people know it, cut to a word."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds: dict[type, str] = {dict: "an object", list: "a list among its elements"}
    return kinds.get(type(value)) or repr(value)[:40]
