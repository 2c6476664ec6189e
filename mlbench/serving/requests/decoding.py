"""A request of the log as a face shows it: parsed when somebody looks, never while it is served."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlbench.domain.clock import utc
from mlbench.domain.serving import LoggedRequest
from mlbench.serving.requests.records import Kept

_NO_INPUTS = "inputs are not logged here (log_inputs)"
_NO_REASON = "why is not logged here, for it may quote inputs (log_inputs)"
_TOO_LONG = "the request was too long to be logged with its inputs"
_RAW = "raw bytes, which only the model's signature tells apart"
_NOT_READ = "the request can't be read"

# As protocol.rows has them, which brings numpy along.
_LISTS = ("rows", "instances")
_DOUBLE = 8

Mappings = tuple[Mapping[str, Any], ...]


def decoded(entry: Kept) -> LoggedRequest:
    """What was asked and answered; parts that can't be read are None."""
    answer = _json(entry.reply, entry.reply_header_length)
    inputs = _inputs(entry)
    return LoggedRequest(
        id=entry.id,
        at=utc(entry.at_ns / 1e9),
        model=entry.model,
        version=entry.version,
        status=entry.status,
        seconds=entry.took,
        inputs=inputs,
        outputs=_outputs(entry, answer) if entry.status < 400 else None,
        is_rows=entry.is_rows,
        error=_error(entry, answer) if entry.status >= 400 else "",
        missing="" if inputs is not None else _why_missing(entry),
    )


def _error(entry: Kept, answer: Mapping[str, Any]) -> str:
    return _NO_REASON if entry.without_body else str(answer.get("error", ""))


def _inputs(entry: Kept) -> Mappings | None:
    if entry.without_body or entry.is_body_cut or entry.header_length == 0:
        return None
    if entry.is_rows:
        return _records(entry.body)
    asked = _json(entry.body, entry.header_length)
    return _tensors(asked.get("inputs"), entry.body, entry.header_length)


def _outputs(entry: Kept, answer: Mapping[str, Any]) -> Mappings | None:
    if entry.is_rows:
        return _objects(answer.get("predictions"))
    return _tensors(answer.get("outputs"), entry.reply, entry.reply_header_length)


def _why_missing(entry: Kept) -> str:
    if entry.without_body:
        return _NO_INPUTS
    if entry.is_body_cut:
        return _TOO_LONG
    return _RAW if entry.header_length == 0 else _NOT_READ


def _records(body: bytes) -> Mappings | None:
    """The records of a body: a list of them, one under `rows` or `instances`, or a single one.

    Values without names stand under their places.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        found = next((found[key] for key in _LISTS if key in found), [found])
    if not isinstance(found, list):
        return None
    return tuple(
        record if isinstance(record, dict) else {str(at): value for at, value in _places(record)}
        for record in found
    )


def _places(record: Any) -> Iterable[tuple[int, Any]]:
    return enumerate(record if isinstance(record, list) else [record])


def _json(data: bytes, header_length: int | None) -> Mapping[str, Any]:
    """The object that a body begins with; empty where it is none."""
    try:
        found = json.loads(data if header_length is None else data[:header_length])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _objects(found: Any) -> Mappings | None:
    if not isinstance(found, list) or any(not isinstance(item, dict) for item in found):
        return None
    return tuple(found)


def _tensors(found: Any, body: bytes, header_length: int | None) -> Mappings | None:
    """Tensors with their data as a flat list, also where it stands behind the JSON."""
    tensors = _objects(found)
    if tensors is None:
        return None
    at = header_length or 0
    read = []
    try:
        for tensor in tensors:
            size = (tensor.get("parameters") or {}).get("binary_data_size")
            data = flat(tensor["data"]) if size is None else _binary(tensor, body, at, size)
            at += size or 0
            kept = {name: tensor[name] for name in ("name", "datatype", "shape")}
            read.append({**kept, "data": data})
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return tuple(read)


def _binary(tensor: Mapping[str, Any], body: bytes, at: int, size: int) -> list[Any]:
    # Late: numpy comes along, and most requests are JSON.
    from mlbench.serving.protocol.binary import array_from_bytes

    shape = tuple(int(length) for length in tensor["shape"])
    array = array_from_bytes(str(tensor["datatype"]), shape, body, at, size).ravel()
    if array.dtype.itemsize < _DOUBLE and array.dtype.kind == "f":
        # By way of their texts: 0.1 as float32 is 0.1, and not 0.10000000149.
        array = array.astype("U").astype(float)
    values: list[Any] = array.tolist()
    return values


def flat(data: Sequence[Any]) -> list[Any]:
    """Nested lists in row-major order."""
    level = list(data)
    while level and isinstance(level[0], list):
        level = [item for inner in level for item in inner]
    return level
