"""Times as the record writes them: ISO 8601 in UTC."""

from __future__ import annotations

import time


def utc(seconds: float | None = None) -> str:
    """`2026-11-23T09:15:02.120Z` for seconds since the epoch, by default now."""
    moment = time.time() if seconds is None else seconds
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1000):03d}Z"


def seconds_of(moment: str) -> float:
    """The seconds since the epoch of such a time."""
    # Late: a command that only writes times needs no calendar.
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()
