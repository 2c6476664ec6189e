"""The answer to rows: a prediction for each, in the words of the model's own classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from mlbench.domain.release import Signature
from mlbench.serving.protocol.binary import texts_of
from mlbench.serving.protocol.parsing import InferenceRequest
from mlbench.serving.protocol.tensors import Array

LABEL = "label"


def build_predictions(
    model: str,
    version: str,
    request: InferenceRequest,
    outputs: Mapping[str, Array],
    id_: str,
    signature: Signature,
) -> bytes:
    """The body that answers rows: `predictions`, an object a row with each output by its name.

    Scores of all classes are an object by class; a classifier without a `label` gets the class of
    its best score. Outputs that have no rows stand under `outputs`. NaN and infinity are null.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(request.rows)]
    beside: dict[str, Any] = {}
    for spec in request.outputs:
        array = outputs[spec.name]
        if spec.is_batched and array.ndim and len(array) == request.rows:
            for row, value in zip(rows, _values(array, signature.classes), strict=True):
                row[spec.name] = value
        else:
            beside[spec.name] = _plain(array)
    if signature.classes and LABEL not in outputs:
        _add_labels(rows, request, outputs, signature.classes)
    answer: dict[str, Any] = {"model": model, "version": version, "id": id_, "predictions": rows}
    if beside:
        answer["outputs"] = beside
    if request.ignored:
        answer["ignored"] = request.ignored
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _values(array: Array, classes: Sequence[str]) -> list[Any]:
    """A value a row: a single one as it is, scores by class, anything else as nested lists."""
    flat = array.reshape(len(array), -1)
    if classes and flat.shape[1] == len(classes) and flat.dtype.kind == "f":
        # numpy's own numbers, for they are written as short as float32 allows.
        return [dict(zip(classes, row, strict=True)) for row in flat]
    if flat.shape[1] == 1:
        if flat.dtype.kind in "OUS":
            return texts_of(flat)
        # onnxruntime's whole numbers are of a C type whose single values orjson does not know.
        return list(flat[:, 0]) if flat.dtype.kind == "f" else flat[:, 0].tolist()
    return [_plain(row) for row in array]


def _plain(array: Array) -> Any:
    """An array as orjson writes it: nested lists."""
    if array.dtype.kind in "OUS":
        return np.array(texts_of(array), dtype=object).reshape(array.shape).tolist()
    return array.tolist() if array.ndim == 0 else np.ascontiguousarray(array)


def _add_labels(
    rows: Sequence[dict[str, Any]],
    request: InferenceRequest,
    outputs: Mapping[str, Array],
    classes: Sequence[str],
) -> None:
    """Put the class of the best score into each row, where an output has scores of them."""
    for spec in request.outputs:
        scores = outputs[spec.name]
        is_scores = spec.is_batched and scores.dtype.kind == "f"
        if not is_scores or scores.size != len(rows) * len(classes) or not len(rows):
            continue
        best = scores.reshape(len(rows), -1).argmax(axis=1).tolist()
        by_place = list(classes) == [str(place) for place in range(len(classes))]
        for row, place in zip(rows, best, strict=True):
            row[LABEL] = place if by_place else classes[place]
        return
