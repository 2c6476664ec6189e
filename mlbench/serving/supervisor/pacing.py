"""When a worker that died is started again, and how long one may load a version: pure."""

from __future__ import annotations

_FIRST, _LONGEST = 0.25, 10.0
# A model is read, checked, optimised and run once: on a busy machine with a slow disk, too.
_LOAD_SECONDS = 60.0
_LOAD_BYTES_PER_SECOND = 2e6


def pause(failures: int) -> float:
    """Seconds to wait after a worker died `failures` times in a row before it served.

    The first time none: whatever it was, whoever waits in the backlog waits on.
    """
    if failures <= 1:
        return 0.0
    return min(_FIRST * 2.0 ** min(failures - 2, 16), _LONGEST)


def load_seconds(size: int) -> float:
    """How long a version whose file has so many bytes may take to load before it counts as hung."""
    return _LOAD_SECONDS + size / _LOAD_BYTES_PER_SECOND
