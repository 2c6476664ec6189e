"""How much may be copied to a shadow without the live version's answers becoming slower: pure.

Windows with copying and without take turns, so that whatever else changes meets both, and each
pair of neighbours gives the ratio of their 99th percentiles. Where the 95% interval of its mean
lies above what the budget allows, half as much is copied; where it lies below, twice as much again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import fmean, stdev

from mlbench.domain.serving import ShadowSpec
from mlbench.domain.tally import Tally, percentile
from mlbench.serving.traffic.bounds import t_quantile

_WINDOW_SECONDS = 1.0
_SETTLE_SECONDS = 0.25
_LONGEST_SECONDS = 5.0
# A 99th percentile of fewer is the largest of them.
_FEWEST_ANSWERS = 200
_FEWEST_PAIRS = 3
_MOST_PAIRS = 15
_SMALLEST = 1 / 64

Buckets = tuple[int, ...]


class Budget:
    """The share of one model's requests that is copied, from what its answers take meanwhile."""

    def __init__(self, spec: ShadowSpec) -> None:
        """Copy all that the spec allows, until that proves to be too much."""
        self._spec = spec
        self._target = spec.share
        self._is_on = True
        self._begin: float | None = None
        self._first: Tally | None = None
        self._last_on: Buckets | None = None
        self._pairs: deque[tuple[Buckets, Buckets]] = deque(maxlen=_MOST_PAIRS)
        self.why = ""

    @property
    def share(self) -> float:
        """What is copied in windows with copying."""
        return self._target

    @property
    def copying(self) -> float:
        """What is copied now: nothing in windows without copying."""
        return self._target if self._is_on else 0.0

    @property
    def p99_with(self) -> float | None:
        """The live 99th percentile in milliseconds while requests are copied, where measured."""
        return _p99([pair[0] for pair in self._pairs])

    @property
    def p99_without(self) -> float | None:
        """The same while none are."""
        return _p99([pair[1] for pair in self._pairs])

    def tick(self, now: float, live: Tally) -> None:
        """Take the newest counts of the live version; `now` is in seconds of any clock."""
        if self._begin is None:
            self._begin, self._first = now, None
        elapsed = now - self._begin
        if self._first is None:
            # Copies of the window before are still at work in its first moments.
            self._first = live if elapsed >= _SETTLE_SECONDS else None
            return
        if elapsed < _WINDOW_SECONDS:
            return
        seen = live.since(self._first)
        if seen.answered >= _FEWEST_ANSWERS:
            self._close(seen.latencies)
        elif elapsed >= _LONGEST_SECONDS:
            self.why = "too little traffic to measure what copying costs"
            self._turn(is_on=True)
            self._last_on = None

    def _close(self, latencies: Buckets) -> None:
        """Keep a window with enough answers, and turn to the other kind."""
        if self._is_on:
            self._last_on = latencies
        elif self._last_on is not None:
            self._pairs.append((self._last_on, latencies))
            self._judge()
        self._turn(is_on=not self._is_on)

    def _turn(self, *, is_on: bool) -> None:
        self._is_on, self._begin, self._first = is_on, None, None

    def _judge(self) -> None:
        self.why = ""
        ratios = [_ratio(pair) for pair in self._pairs]
        interval = interval_of(ratios)
        if interval is None:
            return
        low, high = interval
        allowed = 1 + self._spec.p99_budget
        if low > allowed:
            self._move(max(self._target / 2, self._spec.share * _SMALLEST))
            self.why = f"copying made the live p99 {low:.2f} times as long or more"
        elif high < allowed and self._target < self._spec.share:
            self._move(min(self._target * 2, self._spec.share))

    def _move(self, share: float) -> None:
        """What was measured at one share says nothing of another."""
        self._target = share
        self._pairs.clear()
        self._last_on = None


def interval_of(ratios: Sequence[float]) -> tuple[float, float] | None:
    """The 95% interval of the geometric mean of ratios, all over 0; None for fewer than three."""
    if len(ratios) < _FEWEST_PAIRS:
        return None
    logs = [math.log(ratio) for ratio in ratios]
    half = t_quantile(0.975, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return math.exp(fmean(logs) - half), math.exp(fmean(logs) + half)


def _ratio(pair: tuple[Buckets, Buckets]) -> float:
    on, off = (percentile(latencies, 0.99) or 1.0 for latencies in pair)
    return on / off


def _p99(windows: Sequence[Buckets]) -> float | None:
    summed = [sum(column) for column in zip(*windows, strict=True)]
    found = percentile(summed, 0.99) if summed else None
    return None if found is None else found * 1e3
