"""Waiting for another process, between which and us there is no event to wait on."""

from __future__ import annotations

import time
from collections.abc import Callable

_POLL_SECONDS = 0.015


def until(check: Callable[[], bool], seconds: float) -> bool:
    """Look again and again until `check` holds; False where it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
