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
"""What holds each datatype; numpy has none for BF16, whose arrays here are of float32."""
BINARY_ONLY = frozenset({"FP16", "BF16"})
MOST_ELEMENTS = 2**31 - 1

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


def checked_shape(found: Any, spec: TensorSpec) -> tuple[int, ...]:
    """A `shape` that the signature allows, -1 there standing for any size.

    Raises ValueError with what is wrong, also where it holds more than MOST_ELEMENTS.
    """
    if not _is_allowed(found, spec.shape):
        raise ValueError(_shape_fault(found, spec))
    return tuple(found)


def _is_allowed(found: Any, allowed: tuple[int, ...]) -> bool:
    if type(found) is not list or len(found) != len(allowed):
        return False
    count = 1
    for size, wanted in zip(found, allowed, strict=True):
        if type(size) is not int or not 0 <= size <= MOST_ELEMENTS:
            return False
        if size != wanted and wanted >= 0:
            return False
        count *= size
    return count <= MOST_ELEMENTS


def _shape_fault(found: Any, spec: TensorSpec) -> str:
    """Why `_is_allowed` says no."""
    is_whole = type(found) is list and set(map(type, found)) <= {int}
    if not is_whole or min(found, default=0) < 0:
        return "shape must be a list of whole numbers from 0"
    if not fits(tuple(found), spec):
        return f"shape {_cut(found)} does not fit the model's {list(spec.shape)}"
    return f"shape {_cut(found)} holds more than {MOST_ELEMENTS} elements"


def fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    """Whether a shape is one that the signature allows, -1 there standing for any size."""
    if len(shape) != len(spec.shape):
        return False
    for size, allowed in zip(shape, spec.shape, strict=True):
        if size != allowed and allowed >= 0:
            return False
    return True


def array_from_json(datatype: str, shape: tuple[int, ...], data: list[Any]) -> Array:
    """The array of this datatype and shape whose elements `data` gives, flat or nested.

    Raises ValueError with what is wrong where the elements are too many, too few, ragged, of
    another type, or can't be held by the datatype.
    """
    flat = _flattened(shape, data) if data and type(data[0]) is list else data
    expected = math.prod(shape)
    if len(flat) != expected:
        raise ValueError(f"shape {list(shape)} takes {expected} elements, data has {len(flat)}")
    dtype = DTYPES[datatype]
    allowed, words = _ELEMENTS[dtype.kind]
    strange = set(map(type, flat)) - allowed
    if strange:
        found = next(value for value in flat if type(value) in strange)
        raise ValueError(f"{datatype} takes {words}, data has {shown(found)}")
    try:
        if datatype == "FP64":  # JSON's numbers are what it holds
            return np.array(flat, dtype).reshape(shape)
        with np.errstate(over="raise"):
            return np.array(flat, dtype).reshape(shape)
    except FloatingPointError:
        raise ValueError(f"data has a number too large for {datatype}") from None
    except OverflowError:
        raise ValueError(f"data is out of range for {datatype}") from None


def nesting(data: list[Any]) -> tuple[tuple[int, ...], list[Any]]:
    """How lists are nested, and their elements in row-major order; ValueError where ragged."""
    sizes, level = [len(data)], data
    while level and type(level[0]) is list:
        if set(map(type, level)) != {list} or len(set(map(len, level))) != 1:
            raise ValueError("data is ragged: rows differ in length")
        sizes.append(len(level[0]))
        level = list(chain.from_iterable(level))
    return tuple(sizes), level


def shown(value: Any) -> str:
    """A found element as JSON people know it, cut to a word."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds: dict[type, str] = {dict: "an object", list: "a list among its elements"}
    return kinds.get(type(value)) or repr(value)[:40]


def _flattened(shape: tuple[int, ...], data: list[Any]) -> list[Any]:
    """The elements in row-major order; nested data must be nested as its shape says."""
    nested, flat = nesting(data)
    whole = len(nested) == len(shape) or not flat
    if not (whole and nested == shape[: len(nested)]):
        raise ValueError(f"data is nested as {_cut(nested)}, its shape says {list(shape)}")
    return flat


def _cut(shape: Any) -> str:
    """A shape of anybody's making, in few words."""
    return str(list(shape)) if len(shape) <= 8 else f"{str(list(shape[:8]))[:-1]}, …]"
