"""How many workers there are, by the machine and the settings."""

from __future__ import annotations

import os

from mlbench.domain.serving import ServerSettings
from mlbench.serving.counter_file import MOST_WORKERS


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(settings: ServerSettings) -> int:
    """How many workers these settings mean; no more than have a place in the counters."""
    return min(settings.workers or cores(), MOST_WORKERS)
