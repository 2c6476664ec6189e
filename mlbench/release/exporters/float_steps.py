"""float32 numbers counted: neighbours are one step apart."""

from __future__ import annotations

from typing import Any


def ordinal(np: Any, values: Any) -> Any:
    """float32 numbers as whole numbers in the same order, neighbours one apart."""
    bits = np.asarray(values, np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def number(np: Any, ordinals: Any) -> Any:
    """The float32 numbers of such whole numbers."""
    bits = np.where(ordinals < 0, (-ordinals) | 0x80000000, ordinals).astype(np.uint32)
    return bits.view(np.float32)


def stepped(np: Any, values: Any, steps: int) -> Any:
    """Numbers so many float32 steps up; NaN stays."""
    finite = np.where(np.isfinite(values), values, 0).astype(np.float32)
    moved = number(np, ordinal(np, finite) + steps)
    return np.where(np.isfinite(values), moved, np.nan).astype(np.float32)
