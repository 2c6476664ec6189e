"""Moments as people write them: a date, a time with a zone or without, or how long ago."""

from __future__ import annotations

import re

from mlbench.domain.clock import utc
from mlbench.domain.errors import UsageError

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])(?:\s+ago)?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment_in(text: str, now: float) -> str:
    """The moment that a text names, as `domain.clock.utc` writes it; UsageError where it is none.

    Times are in UTC unless they say otherwise, a date alone is its first moment, and `2d` or
    `90m ago` is so long before `now` (seconds since the epoch).
    """
    # Late: few commands ask for a moment.
    from datetime import UTC, datetime

    written = text.strip()
    try:
        if age := _AGE.fullmatch(written):
            return utc(max(0.0, now - float(age[1]) * _UNITS[age[2]]))
        moment = datetime.fromisoformat(written)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        # Not by way of seconds since the epoch: a float may fall short of its milliseconds.
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise UsageError(
            f'"{text}" is no time such as 2026-11-23, "2026-11-23 09:15" (UTC), '
            "2026-11-23T09:15:00+01:00, or 2d for two days ago"
        ) from None
