"""What a model answers on some rows, the original as the exported one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_NUMERIC = "biuf"


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A model's answers on n rows: labels (n, or n x targets) and scores (n x k, float64).

    None where the model has no such answer.
    """

    label: Array | None = None
    scores: Array | None = None

    @property
    def rows(self) -> int | None:
        """How many rows were answered; None without any answer."""
        known = self.label if self.scores is None else self.scores
        return None if known is None else len(known)


def alike(one: Array, other: Array) -> Array:
    """Where labels are the same: numbers by value, since ONNX has 1 for the original's 1.0 or True.

    Both of one shape, or such that numpy broadcasts them.
    """
    if one.dtype.kind in _NUMERIC and other.dtype.kind in _NUMERIC:
        return np.asarray(one == other)
    return np.asarray(one.astype(str) == other.astype(str))


def keys_of(*labels: Array) -> list[list[Hashable]]:
    """Each array of labels as keys of a table, equal for labels that are alike."""
    by_value = all(array.dtype.kind in _NUMERIC for array in labels)
    kind = np.float64 if by_value else np.str_
    return [list(array.reshape(-1).astype(kind).tolist()) for array in labels]


def label_text(label: Any) -> str:
    """A label as people write it: 1 for 1.0."""
    value = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
