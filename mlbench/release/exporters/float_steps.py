"""Floating-point numbers counted: neighbours are one step apart. Of float32, or of float64."""

from __future__ import annotations

from typing import Any


def ordinal(np: Any, values: Any) -> Any:
    """An array's float32 or float64 numbers as whole numbers in the same order, one apart."""
    signed = np.int64 if values.dtype == np.float64 else np.int32
    bits = values.view(signed).astype(np.int64)
    return np.where(bits < 0, -(bits & np.iinfo(signed).max), bits)


def number(np: Any, ordinals: Any, kind: Any) -> Any:
    """The numbers of this kind (float32 or float64) that such whole numbers stand for."""
    whole = np.uint64 if kind == np.float64 else np.uint32
    sign = np.uint64(1) << np.uint64(np.finfo(kind).bits - 1)
    size = np.abs(ordinals).astype(np.uint64)
    return np.where(ordinals < 0, size | sign, size).astype(whole).view(kind)


def between(low: Any, high: Any) -> Any:
    """The middle of whole numbers, rounded down, whose sum need not fit."""
    return (low & high) + ((low ^ high) >> 1)


def stepped(np: Any, values: Any, steps: int) -> Any:
    """Numbers so many steps of their kind up; NaN stays."""
    finite = np.where(np.isfinite(values), values, values.dtype.type(0))
    moved = number(np, ordinal(np, finite) + steps, values.dtype)
    return np.where(np.isfinite(values), moved, values.dtype.type(np.nan))
