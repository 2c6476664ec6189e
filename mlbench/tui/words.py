"""Numbers in columns, differences, moments, gates and versions as the screen shows them."""

from __future__ import annotations

import math
import time

from mlbench.domain.phrases import number
from mlbench.domain.release import Candidate, GateResult


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


def moment(then: float) -> str:
    """The local date and time, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(then))


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


def clock_time(then: float) -> str:
    """The local time of day, to the second."""
    return time.strftime("%H:%M:%S", time.localtime(then))
