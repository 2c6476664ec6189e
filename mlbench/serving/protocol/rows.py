"""The easy route: rows as JSON records, named as the training data named them, to predictions.

A body is a list of records, an object with that list under `rows` or `instances` and perhaps an
`id`, or a single record. A record is an object of columns; a list of values, in the order of
training, will do for a model of one input. Null is a missing number. Columns that the model does
not take are left alone, and named in the answer, for whole rows often bring their truth along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlbench.domain.elements import converter_of
from mlbench.domain.errors import nearest
from mlbench.domain.release import Signature, TensorSpec
from mlbench.serving.protocol.json_text import parse_json
from mlbench.serving.protocol.parsing import InferenceRequest, requested, rows_of
from mlbench.serving.protocol.predictions import build_predictions
from mlbench.serving.protocol.tensors import BINARY_ONLY, DTYPES, Array, checked_shape, nesting
from mlbench.serving.refusals import RequestError

__all__ = ["LISTS", "build_predictions", "columns_of", "parse_rows"]

LISTS = ("rows", "instances")

_NUMBERS = {float, int, type(None)}


def parse_rows(body: bytes, signature: Signature) -> InferenceRequest:
    """The request in a body of records; RequestError 400 names the row and column that is wrong."""
    names = columns_of(signature)
    records, identity = _records(parse_json(body), names)
    if not records:
        raise RequestError(400, "the body has no rows; send a list of records, one a row")
    inputs = {spec.name: _input(records, spec, signature) for spec in signature.inputs}
    rows = rows_of(inputs, signature.inputs)
    return InferenceRequest(
        identity, inputs, requested(signature), rows, ignored=_ignored(records, names)
    )


def columns_of(signature: Signature) -> tuple[str, ...]:
    """What a record's keys are: the columns of training, else the names of the inputs."""
    if len(signature.inputs) == 1 and signature.columns:
        return signature.columns
    return tuple(spec.name for spec in signature.inputs)


def _records(found: Any, names: Sequence[str]) -> tuple[list[Any], str | None]:
    """The records of a body, and its id."""
    if type(found) is list:
        return found, None
    if type(found) is not dict:
        raise RequestError(400, "the body must be a list of records, or an object with `rows`")
    key = next((key for key in LISTS if key in found and key not in names), None)
    if key is None:
        return [found], None
    identity = found.get("id")
    if identity is not None and type(identity) is not str:
        raise RequestError(400, "the request: id must be a string or null")
    if type(found[key]) is not list:
        raise RequestError(400, f"{key} must be a list of records, one a row")
    return found[key], identity


def _ignored(records: Sequence[Any], names: Sequence[str]) -> tuple[str, ...]:
    """The columns of any record that the model does not take, in the order in which they come."""
    known = set(names)
    return tuple(
        dict.fromkeys(
            key
            for record in records
            if type(record) is dict and len(record) > len(known)
            for key in record
            if key not in known
        )
    )


def _input(records: Sequence[Any], spec: TensorSpec, signature: Signature) -> Array:
    """One input of the model for all records."""
    columns = signature.columns if len(signature.inputs) == 1 else ()
    if columns:
        rows = [_features(number, record, columns) for number, record in enumerate(records, 1)]
        names: Sequence[str] = columns
    else:
        is_only = len(signature.inputs) == 1
        rows = [_value(number, row, spec.name, is_only) for number, row in enumerate(records, 1)]
        names = (spec.name,)
    try:
        sizes, flat = nesting(rows)
    except ValueError:
        raise RequestError(400, f'"{spec.name}": rows differ in length or in nesting') from None
    shape = _shape(spec, sizes)
    return _array(spec, shape, flat, names)


def _features(number: int, record: Any, columns: Sequence[str]) -> list[Any]:
    """A record's values for the columns of a single input."""
    if type(record) is list:
        return record
    if type(record) is not dict:
        raise RequestError(400, f"row {number} must be a record: an object of columns, or a list")
    try:
        return [record[name] for name in columns]
    except KeyError as missing:
        raise _lacks(number, str(missing.args[0]), record) from None


def _value(number: int, record: Any, name: str, is_only: bool) -> Any:
    """What a record says of an input that it has under its name, or that it is as a whole."""
    if type(record) is not dict:
        if is_only:
            return record
        raise RequestError(400, f"row {number} must be a record: an object of columns")
    if name not in record:
        raise _lacks(number, name, record)
    return record[name]


def _lacks(number: int, name: str, record: Mapping[str, Any]) -> RequestError:
    spelled = [key for key in record if len(key) <= 80][:200]
    return RequestError(
        400, f'row {number} lacks the column "{name}"{nearest(name, spelled)} that the model takes'
    )


def _shape(spec: TensorSpec, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an input whose rows are nested like this; a flat row fills fixed dimensions."""
    wanted, given = spec.shape[1:], sizes[1:]
    is_fixed = all(size >= 0 for size in wanted)
    is_flat = len(given) <= 1 and is_fixed and math.prod(given) == math.prod(wanted)
    shape = [sizes[0], *(wanted if is_flat else given)]
    if len(given) == 1 and is_fixed and not is_flat:
        raise RequestError(
            400, f'"{spec.name}": a row has {given[0]} values, the model takes {math.prod(wanted)}'
        )
    try:
        return checked_shape(shape, spec)
    except ValueError as error:
        raise RequestError(400, f'"{spec.name}": {error}') from None


def _array(
    spec: TensorSpec, shape: tuple[int, ...], flat: list[Any], names: Sequence[str]
) -> Array:
    """The elements as an array; RequestError 400 names the row and column of one that is none."""
    dtype = DTYPES["FP32"] if spec.datatype == "BF16" else DTYPES[spec.datatype]
    # Numbers as JSON has them need no look at each: numpy makes NaN of None.
    if spec.datatype == "FP64" and set(map(type, flat)) <= _NUMBERS:
        return np.array(flat, dtype).reshape(shape)
    if dtype.kind == "f" and set(map(type, flat)) <= _NUMBERS:
        try:
            with np.errstate(over="raise"):
                return np.array(flat, dtype).reshape(shape)
        except FloatingPointError:
            pass  # which one it is, is found below
    width = max(len(flat) // max(shape[0], 1), 1)
    values = [_element(spec, value, place, width, names) for place, value in enumerate(flat)]
    with np.errstate(over="ignore"):
        return np.array(values, dtype).reshape(shape)


def _element(spec: TensorSpec, value: Any, place: int, width: int, names: Sequence[str]) -> Any:
    is_float = spec.datatype in BINARY_ONLY or spec.datatype.startswith("FP")
    if value is None and is_float:
        return math.nan
    convert = converter_of("FP32" if spec.datatype in BINARY_ONLY else spec.datatype)
    row, column = divmod(place, width)
    try:
        if value is None:
            raise ValueError(f"is missing, and {spec.datatype} has no word for that; fill it in")
        if convert is None or isinstance(value, list | dict):
            raise ValueError("must be a single value")
        return convert(value)
    except ValueError as error:
        where = f'column "{names[column]}"' if len(names) == width else f"value {column + 1}"
        raise RequestError(400, f"row {row + 1}, {where}: {error}") from None
