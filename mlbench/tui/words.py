"""Numbers, spans of time, sizes, gates and versions as people read them."""

from __future__ import annotations

import math
import time

from mlbench.domain.release import Candidate, GateResult

_UNITS = ("B", "KB", "MB", "GB", "TB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def number(value: float) -> str:
    """Four digits that matter: `0.9861`, `12`, `5.8e-7`."""
    if not math.isfinite(value):
        return str(value)
    if 1000 <= abs(value) < 1e7:
        return f"{value:.0f}"
    text = f"{value:.4g}"
    mantissa, found, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if found else text


def tabular(value: float) -> str:
    """As `number`, but with all four digits, so that a column lines up: `0.1900`."""
    is_usual = math.isfinite(value) and (value == 0 or 1e-4 <= abs(value) < 1000)
    return f"{value:#.4g}".rstrip(".") if is_usual else number(value)


def signed(value: float) -> str:
    """A margin: `+.036`, `−1.2`; the sign is always there."""
    text = number(abs(value))
    text = text[1:] if text.startswith("0.") else text
    return f"{'−' if value < 0 else '+'}{text}"


def arrow(difference: float) -> str:
    """`▲ 0.004`, `▼ 0.01` or `=` for no difference."""
    if difference == 0:
        return "="
    return f"{'▲' if difference > 0 else '▼'} {number(abs(difference))}"


def duration(seconds: float) -> str:
    """`0.2 s`, `6.1 s`, `42 s`, `1:05`, `2:03:10`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < _MINUTE else clock(seconds)


def clock(seconds: float) -> str:
    """`0:14`, `1:05`, `2:03:10`."""
    whole = max(0, int(seconds))
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"


def size(count: int) -> str:
    """Bytes: `512 B`, `40 KB`, `1.2 MB`."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.1f} {unit}" if value < 10 and unit != "B" else f"{value:.0f} {unit}"


def ago(then: float, now: float) -> str:
    """`now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 days ago`; both in seconds since the epoch."""
    gone = max(0.0, now - then)
    if gone < 2:
        return "now"
    if gone < _MINUTE:
        return f"{gone:.0f} s ago"
    if gone < _HOUR:
        return f"{gone / _MINUTE:.0f} min ago"
    if gone < _DAY:
        return f"{gone / _HOUR:.0f} h ago"
    days = round(gone / _DAY)
    return f"{days} day{'s' if days > 1 else ''} ago"


def moment(then: float) -> str:
    """The local date and time, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(then))


def plural(count: int, word: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def scalar(value: object) -> str:
    """A parameter's value as the user wrote it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    return number(value) if isinstance(value, float) else str(value)


def missed(gate: GateResult) -> str:
    """`accuracy >= 0.95 missed by 0.038`."""
    return f"{gate.gate} {gate.why or 'does not hold'}"


def version_of(candidate: Candidate) -> str:
    """`v12`, or `candidate` until it is first promoted."""
    return f"v{candidate.version}" if candidate.version is not None else "candidate"
