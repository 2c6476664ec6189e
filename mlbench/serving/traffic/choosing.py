"""Which version takes the next request where several share them: pure but for where it begins."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate

# 2**64 over the golden ratio, odd. Its multiples modulo 2**64 are spread as evenly as any sequence
# of one step can be (Knuth, The Art of Computer Programming 3, section 6.4, theorem S).
_STEP = 0x9E3779B97F4A7C15
_ALL = 1 << 64


def chooser(weights: Mapping[str, float], begin: int | None = None) -> Callable[[], str]:
    """What names the version for each request; after n of them each had its share within 1/√n.

    `weights` need not sum up to 1, and a version of weight 0 gets nothing. Every chooser begins
    elsewhere, so that workers don't move in step; `begin` fixes it, 0 … 2**64 - 1. ValueError
    where no weight is over 0.
    """
    wanted = {version: weight for version, weight in weights.items() if weight > 0}
    if not wanted:
        raise ValueError("no version has a share over 0")
    versions = tuple(wanted)
    total = sum(wanted.values())
    ends = [int(end / total * _ALL) for end in accumulate(wanted.values())][:-1]
    if not ends:
        only = versions[0]
        return lambda: only
    point = secrets.randbits(64) if begin is None else begin

    def choose() -> str:
        nonlocal point
        point = (point + _STEP) % _ALL
        return versions[bisect_right(ends, point)]

    return choose
