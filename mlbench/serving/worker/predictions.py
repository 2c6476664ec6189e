"""One number for each row that a model answered: what drift and canaries look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlbench.domain.release import Signature
from mlbench.serving.protocol.tensors import Array

Predictions = Callable[[Mapping[str, Array]], Sequence[float]]
"""From a model's outputs a value a row, of many rows MOST_ROWS that are evenly spread."""

MOST_ROWS = 64


def predictions_of(signature: Signature) -> Predictions:
    """How to read the predictions of a model with this signature.

    A label counts by its place among the classes, a prediction by its first value; any other
    model's first output by its largest score's place where it has several, else by its value.
    """
    names = [spec.name for spec in signature.outputs]
    if "label" in names:
        return _labels("label", signature.classes)
    return _values("prediction" if "prediction" in names else names[0], "prediction" in names)


def _labels(name: str, classes: Sequence[str]) -> Predictions:
    places: dict[Any, float] = {label: float(place) for place, label in enumerate(classes)}

    def place_of(label: Any) -> float:
        known = places.get(label)
        if known is None:
            # A label of numbers is told from its text once, and then found at once.
            text = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
            known = places[label] = places.get(text, -1.0)
        return known

    def labels(outputs: Mapping[str, Array]) -> Sequence[float]:
        found = outputs[name]
        if found.size == 1:
            return (place_of(found.item()),)
        return [place_of(label) for label in _spread(found.ravel()).tolist()]

    return labels


def _values(name: str, is_value: bool) -> Predictions:
    def values(outputs: Mapping[str, Array]) -> Sequence[float]:
        found = outputs[name]
        if found.dtype.kind not in "fiub" or not found.size:
            return ()
        if found.ndim == 0:
            return (float(found),)
        rows = _spread(found.reshape(len(found), -1))
        numbers = rows[:, 0] if is_value or rows.shape[1] == 1 else rows.argmax(axis=1)
        given: list[float] = numbers.astype(float).tolist()
        return given

    return values


def _spread(rows: Array) -> Array:
    return rows[:: -(-len(rows) // MOST_ROWS)] if len(rows) > MOST_ROWS else rows
