"""Requests too large for one body: cut into batches of rows, and their answers put together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Tensor = Mapping[str, Any]
# Numbers take some 20 bytes each in JSON: a batch stays far below what a server takes.
MOST_VALUES = 200_000


def batches_of(
    inputs: Sequence[Tensor], most_values: int = MOST_VALUES
) -> Iterator[Sequence[Tensor]]:
    """These input tensors in batches of rows, in order, each of so many values at most.

    A batch has a row at least; tensors without rows, or of unlike many, stay together.
    """
    rows = {int(tensor["shape"][0]) if tensor["shape"] else 0 for tensor in inputs}
    count = rows.pop() if len(rows) == 1 else 0
    values = sum(len(tensor["data"]) for tensor in inputs)
    if count < 2 or values <= most_values:
        yield inputs
        return
    size = max(1, most_values * count // values)
    for start in range(0, count, size):
        yield [_rows_of(tensor, start, min(start + size, count)) for tensor in inputs]


def _rows_of(tensor: Tensor, start: int, end: int) -> Tensor:
    rest = tensor["shape"][1:]
    width = math.prod(rest)
    data = tensor["data"][start * width : end * width]
    return {**tensor, "shape": [end - start, *rest], "data": data}


def joined(responses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One response of several to batches: outputs with their rows behind each other.

    What a response says beside its outputs is the first one's, but for the versions that answered.
    """
    first = dict(responses[0])
    if len(responses) == 1:
        return first
    outputs = []
    for place, output in enumerate(first["outputs"]):
        parts = [response["outputs"][place] for response in responses]
        data = [value for part in parts for value in part["data"]]
        rows = sum(part["shape"][0] for part in parts)
        outputs.append({**output, "shape": [rows, *output["shape"][1:]], "data": data})
    versions = dict.fromkeys(str(response["model_version"]) for response in responses)
    return {**first, "model_version": ", ".join(versions), "outputs": outputs}
