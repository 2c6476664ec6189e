"""What an environment's server counted for one model version, and how it is summed up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import field

from mlbench.domain.records import dataclass

# Upper ends of the latency buckets in seconds: 50 µs, and a tenth to an eighth more from one to
# the next, so that a percentile is off by that much at most; the last bucket has no end.
LATENCY_BOUNDS = tuple(50e-6 * 1.12**step for step in range(127))
# Upper ends of the batch buckets in rows.
BATCH_BOUNDS = tuple(1 << step for step in range(12))


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted since the server began; all but the gauges only ever grow.

    `answered`, `refused` (4xx) and `failed` (5xx) are requests; `expired` (504) and `turned_away`
    (503) are among the failed. Times are sums in seconds: `waited` in the queue, `computed` in
    onnxruntime, `took` in all. `calls` are runs of the model, `rows` what they were given;
    `latencies` counts answered requests by LATENCY_BOUNDS, `batches` calls by BATCH_BOUNDS.
    `queued` and `in_flight` are gauges. `predictions` are the newest first values of answers, a
    label by its place among the classes, in the order they came and with none left out between;
    `predicted` is how many there ever were. `last` is when the last request ended, in seconds since
    1970.
    """

    model: str
    version: str
    answered: int = 0
    refused: int = 0
    failed: int = 0
    expired: int = 0
    turned_away: int = 0
    rows: int = 0
    calls: int = 0
    took: float = 0.0
    waited: float = 0.0
    computed: float = 0.0
    queued: int = 0
    in_flight: int = 0
    logged: int = 0
    log_dropped: int = 0
    last: float = 0.0
    predicted: int = 0
    latencies: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS) + 1)
    batches: tuple[int, ...] = (0,) * (len(BATCH_BOUNDS) + 1)
    predictions: tuple[float, ...] = field(default=())

    @property
    def ended(self) -> int:
        """Requests that got an answer of whatever kind."""
        return self.answered + self.refused + self.failed

    def since(self, earlier: Tally) -> Tally:
        """What was counted after an earlier tally of the same version; gauges as they are now.

        `predictions` are those that came since, as far as they are kept.
        """
        counts = {name: max(getattr(self, name) - getattr(earlier, name), 0) for name in _COUNTS}
        fresh = counts["predicted"]
        return Tally(
            self.model,
            self.version,
            **counts,
            queued=self.queued,
            in_flight=self.in_flight,
            last=self.last,
            latencies=_minus(self.latencies, earlier.latencies),
            batches=_minus(self.batches, earlier.batches),
            predictions=self.predictions[-fresh:] if fresh else (),
        )

    def percentile(self, share: float) -> float | None:
        """Seconds within which this share of the answers came; None where there were none."""
        return percentile(self.latencies, share)

    def slower_than(self, seconds: float) -> float:
        """How many answers took longer, to the nearest bucket and by its share of that bucket."""
        place = bisect_left(LATENCY_BOUNDS, seconds)
        if place >= len(LATENCY_BOUNDS):
            return float(self.latencies[-1])
        low = LATENCY_BOUNDS[place - 1] if place else 0.0
        above = (LATENCY_BOUNDS[place] - seconds) / (LATENCY_BOUNDS[place] - low)
        return self.latencies[place] * above + sum(self.latencies[place + 1 :])


_COUNTS = (
    "answered",
    "refused",
    "failed",
    "expired",
    "turned_away",
    "rows",
    "calls",
    "took",
    "waited",
    "computed",
    "logged",
    "log_dropped",
    "predicted",
)


def percentile(latencies: Sequence[int], share: float) -> float | None:
    """Seconds within which a share of what these buckets count lies, interpolated in its bucket."""
    total = sum(latencies)
    if not total:
        return None
    wanted, below = share * total, 0
    for place, count in enumerate(latencies):
        if count and below + count >= wanted:
            low = LATENCY_BOUNDS[place - 1] if place else 0.0
            high = LATENCY_BOUNDS[min(place, len(LATENCY_BOUNDS) - 1)]
            return low + (high - low) * max(wanted - below, 0.0) / count
        below += count
    return LATENCY_BOUNDS[-1]


def _minus(now: Sequence[int], before: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(a - b, 0) for a, b in zip(now, before, strict=True))
