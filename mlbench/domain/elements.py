"""Single elements of a request's tensors, from numbers and texts as people write them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

_MISSING = "is missing, and the protocol's JSON has no word for that: fill it in or leave it out"
_BINARY_ONLY = ("FP16", "BF16")


def converter_of(datatype: str) -> Callable[[Any], Any] | None:
    """What turns a value as people write it into an element of a datatype; None: JSON can't.

    It raises ValueError with what is wrong, as half a sentence.
    """
    convert = _CONVERTERS.get(datatype.rstrip("0123456789"))
    if convert is None or datatype in _BINARY_ONLY:
        return None
    return lambda value: _in_range(convert(value), datatype)


def _in_range(value: Any, datatype: str) -> Any:
    """The value, where a tensor of this datatype can hold it."""
    if datatype in _CODES:
        try:
            struct.pack(_CODES[datatype], value)
        except (struct.error, OverflowError):
            raise ValueError(f"{_quoted(value)} is out of range for {datatype}") from None
    return value


def _number(value: Any) -> float:
    """A finite number; ValueError says what else it is."""
    if value is None:
        raise ValueError(_MISSING)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{_quoted(value)} is no number") from None
    if not math.isfinite(number):
        raise ValueError(_MISSING if math.isnan(number) else "is infinite, which JSON can't say")
    return number


def _whole(value: Any) -> int:
    """A whole number, also where it is written as text or with a fraction of nothing."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        return int(value)
    number = _number(value)
    if not number.is_integer():
        raise ValueError(f"{_quoted(value)} is no whole number")
    return int(number)


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False, "1": True, "0": False}.get(value.strip().lower())
    if value is None:
        raise ValueError("is missing or neither true nor false")
    if value not in (0, 1):
        raise ValueError(f"{_quoted(value)} is neither true nor false")
    return bool(value)


def _text(value: Any) -> str:
    if value is None:
        raise ValueError(_MISSING)
    if isinstance(value, str):
        if any("\ud800" <= sign <= "\udfff" for sign in value):
            raise ValueError("is no Unicode text")
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{_quoted(value)} is no text")


def _quoted(value: Any) -> str:
    return f'"{str(value)[:40]}"'


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "FP": _number,
    "INT": _whole,
    "UINT": _whole,
    "BOOL": _truth,
    "BYTES": _text,
}
# How `struct` names what a datatype holds.
_CODES = {"FP32": "<f", "FP64": "<d", "INT8": "<b", "INT16": "<h", "INT32": "<i", "INT64": "<q"}
_CODES |= {"UINT8": "<B", "UINT16": "<H", "UINT32": "<I", "UINT64": "<Q"}
