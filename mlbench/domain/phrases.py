"""Numbers, spans of time and sizes as people read and write them."""

from __future__ import annotations

import math
import re

_EXACT = 1e9
_LEAST_TOLD = 0.05
_UNITS = ("B", "KB", "MB", "GB", "TB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b)", re.IGNORECASE)
_POWERS = {sign: power for power, sign in enumerate("kmgt", 1)}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def number(value: float) -> str:
    """Four digits that matter, all of a whole number below 1e9: `0.9861`, `12`, `5.8e-7`."""
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < _EXACT):
        return str(int(value))
    if 1000 <= abs(value) < 1e7:
        return f"{value:.0f}"
    mantissa, is_small, exponent = f"{value:.4g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if is_small else mantissa


def duration(seconds: float) -> str:
    """`0.2 s`, `6.1 s`, `42 s`, `1:05`, `2:03:10`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < _MINUTE else clock(seconds)


def took(seconds: float) -> str:
    """As `duration`, and nothing for what took no time to speak of."""
    return duration(seconds) if seconds >= _LEAST_TOLD else ""


def clock(seconds: float) -> str:
    """`0:14`, `1:05`, `2:03:10`."""
    whole = max(0, int(seconds))
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"


def ago(then: float, now: float) -> str:
    """`now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 days ago`; both in seconds since the epoch."""
    gone = max(0.0, now - then)
    if gone < 2:
        return "now"
    if gone < _MINUTE:
        return f"{int(gone)} s ago"
    if gone < _HOUR:
        return f"{int(gone // _MINUTE)} min ago"
    if gone < _DAY:
        return f"{int(gone // _HOUR)} h ago"
    return f"{plural(int(gone // _DAY), 'day')} ago"


def size(count: int) -> str:
    """Bytes: `512 B`, `40 KB`, `1.2 MB`."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.1f} {unit}" if value < 10 and unit != "B" else f"{value:.0f} {unit}"


def bytes_in(text: str) -> int | None:
    """The bytes of `20GB`, `1.5 GiB`, `512m` or `0`; None where the text is no size.

    Only nothing needs no unit: 16 might be meant as bytes or as gigabytes.
    """
    if text.strip() == "0":
        return 0
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    count, sign, is_binary = match.groups()
    base = 1024.0 if is_binary else 1000.0
    return round(float(count) * base ** _POWERS.get((sign or "").lower(), 0))


def plural(count: int, word: str, words: str = "") -> str:
    """`1 run`, `2 runs`; `words` is the plural where an s does not make it, as of `entry`."""
    return f"{count} {word if count == 1 else words or f'{word}s'}"
