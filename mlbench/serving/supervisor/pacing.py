"""When a worker that died is started again: pure."""

from __future__ import annotations

_FIRST, _LONGEST = 0.25, 10.0


def pause(failures: int) -> float:
    """Seconds to wait after a worker died `failures` times in a row before it served.

    The first time none: whatever it was, whoever waits in the backlog waits on.
    """
    if failures <= 1:
        return 0.0
    return min(_FIRST * 2.0 ** min(failures - 2, 16), _LONGEST)
