"""Logged requests as a table: a line for each row of a request, a column for each feature.

Pure. Features have their own names, outputs theirs after `output.`, and `label` is the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlbench.domain.release import Signature
from mlbench.domain.serving import LoggedRequest

FIXED = ("time", "id", "row", "model", "version", "status", "ms", "label", "error")
# A tensor of more values a row is one column of lists: a table of so many columns helps nobody.
_MOST_COLUMNS = 1024
_INPUT, _OUTPUT = "input.", "output."

SignatureOf = Callable[[str, str], Signature | None]
"""What is known of a model's version; None where nothing is."""


def table_of(
    requests: Iterable[LoggedRequest], signature_of: SignatureOf
) -> tuple[list[str], list[list[Any]]]:
    """The columns, and the lines that they have; None where a request lacks a value."""
    lines = [line for request in requests for line in _lines(request, signature_of)]
    names = list(FIXED)
    seen = dict.fromkeys(name for line in lines for name in line)
    names += [name for name in seen if name not in FIXED and not name.startswith(_OUTPUT)]
    names += [name for name in seen if name.startswith(_OUTPUT)]
    return names, [[line.get(name) for name in names] for line in lines]


def prediction_of(request: LoggedRequest) -> Any:
    """What to show as a request's answer: its label, else its prediction, else the first output."""
    outputs = request.outputs
    if not outputs:
        return None
    if request.is_rows:
        values = [_chosen(record) for record in outputs]
    else:
        data = _chosen({tensor["name"]: tensor["data"] for tensor in outputs})
        values = list(data) if data is not None else []
    return values[0] if len(values) == 1 else values


def _chosen(named: Mapping[str, Any]) -> Any:
    name = next((name for name in ("label", "prediction") if name in named), None)
    return named[name] if name else next(iter(named.values()), None)


def _lines(request: LoggedRequest, signature_of: SignatureOf) -> Iterator[dict[str, Any]]:
    signature = signature_of(request.model, request.version)
    inputs = list(_rows_in(request, signature))
    outputs = list(_rows_out(request, signature))
    count = max(len(inputs), len(outputs), 1)
    for row in range(count):
        yield {
            "time": request.at,
            "id": request.id,
            "row": row,
            "model": request.model,
            "version": request.version,
            "status": request.status,
            "ms": request.seconds * 1000,
            "label": _label(request.label, row, count),
            "error": request.error or None,
            **(_features(inputs[row]) if row < len(inputs) else {}),
            **(_given(outputs[row]) if row < len(outputs) else {}),
        }


def _features(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{_INPUT}{name}" if name in FIXED or name.startswith(_OUTPUT) else name: value
        for name, value in values.items()
    }


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{_OUTPUT}{name}": value for name, value in values.items()}


def _label(label: Any, row: int, count: int) -> Any:
    """The label of one row: one that was given for all stands beside the first."""
    if isinstance(label, list) and len(label) == count:
        return label[row]
    return label if row == 0 else None


def _rows_in(request: LoggedRequest, signature: Signature | None) -> Iterator[Mapping[str, Any]]:
    if request.inputs is None:
        return
    if request.is_rows:
        yield from (_named(record, signature) for record in request.inputs)
    else:
        columns = signature.columns if signature is not None else ()
        yield from _by_row(request.inputs, columns)


def _named(record: Mapping[str, Any], signature: Signature | None) -> Mapping[str, Any]:
    """A record whose values came without names by the columns of the model's single input."""
    places = [str(place) for place in range(len(record))]
    if signature is None or len(signature.inputs) != 1 or list(record) != places:
        return record
    spec = signature.inputs[0]
    tensor = {"name": spec.name, "shape": [1, len(record)]}
    names, _ = _names(tensor, signature.columns, ())
    return dict(zip(names, record.values(), strict=True)) if len(names) == len(places) else record


def _rows_out(request: LoggedRequest, signature: Signature | None) -> Iterator[Mapping[str, Any]]:
    if request.outputs is None:
        return
    if request.is_rows:
        for record in request.outputs:
            yield dict(_spread(record))
    else:
        classes = signature.classes if signature is not None else ()
        yield from _by_row(request.outputs, (), classes)


def _spread(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Scores by class as `scores.CLASS`, all else as it is."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


def _by_row(
    tensors: Sequence[Mapping[str, Any]], columns: Sequence[str], classes: Sequence[str] = ()
) -> Iterator[Mapping[str, Any]]:
    """The values of each row of some tensors, which all have rows, by the names of columns."""
    sizes = [tensor["shape"][0] if tensor["shape"] else 1 for tensor in tensors]
    rows = max(sizes, default=0)
    named = [
        (_names(tensor, columns if len(tensors) == 1 else (), classes), tensor["data"])
        for tensor, size in zip(tensors, sizes, strict=True)
        if size == rows
    ]
    for row in range(rows):
        values: dict[str, Any] = {}
        for (names, width), data in named:
            cut = data[row * width : (row + 1) * width]
            values |= dict(zip(names, cut if len(names) == width else [cut], strict=True))
        yield values


def _names(
    tensor: Mapping[str, Any], columns: Sequence[str], classes: Sequence[str]
) -> tuple[list[str], int]:
    """The columns for a tensor, and how many values a row of it has."""
    width = math.prod(tensor["shape"][1:])
    name = tensor["name"]
    if width == len(columns):
        return list(columns), width
    if width == 1:
        return [name], width
    if width == len(classes):
        return [f"{name}.{item}" for item in classes], width
    if width > _MOST_COLUMNS:
        return [name], width
    return [f"{name}.{place}" for place in range(width)], width
