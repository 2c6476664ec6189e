"""Classes of models that know them by their index alone."""

from __future__ import annotations

from typing import Any


def by_index(y: Any, count: int) -> list[int]:
    """0 … count - 1 where scores for so many classes can mean the truth `y` (n), else nothing."""
    if y is None or y.ndim != 1 or y.dtype.kind not in "iu" or count < 2:
        return []
    return list(range(count)) if y.min() >= 0 and y.max() < count else []
