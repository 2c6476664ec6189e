"""Simulated traffic for canaries: tallies as they stand at each look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mlbench.domain.serving import CanarySpec
from mlbench.domain.tally import LATENCY_BOUNDS, Tally
from mlbench.serving.traffic.deciding import checks_of, look_at

Draw = Callable[[np.random.Generator, int], "np.ndarray[tuple[int], np.dtype[np.float64]]"]
_KEPT = 2048


def usual_latency(
    rng: np.random.Generator, size: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Around 2 ms, with a tail: one in 50 takes ten times as long."""
    seconds = rng.lognormal(np.log(2e-3), 0.35, size)
    seconds[rng.random(size) < 0.02] *= 10
    return seconds


def usual_predictions(
    rng: np.random.Generator, size: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return rng.normal(size=size)


@dataclass(frozen=True)
class Version:
    """How one version behaves."""

    errors: float = 0.0
    latency: Draw = usual_latency
    predictions: Draw = usual_predictions

    def serve(self, before: Tally, rng: np.random.Generator, requests: int) -> Tally:
        failed = int(rng.binomial(requests, self.errors))
        answered = requests - failed
        buckets = np.searchsorted(LATENCY_BOUNDS, self.latency(rng, answered), side="left")
        counts = np.bincount(buckets, minlength=len(LATENCY_BOUNDS) + 1)
        kept = (*before.predictions, *self.predictions(rng, min(answered, _KEPT)).tolist())
        return Tally(
            "m",
            "1",
            answered=before.answered + answered,
            failed=before.failed + failed,
            rows=before.rows + answered,
            latencies=tuple((np.array(before.latencies) + counts).tolist()),
            predicted=before.predicted + answered,
            predictions=kept[-_KEPT:],
        )


def looks(
    live: Version, canary: Version, spec: CanarySpec, share: float, seed: int, most: int
) -> Iterator[tuple[int, Tally, Tally, int]]:
    """The tallies of one step at each look, until the canary had so many requests."""
    rng = np.random.default_rng(seed)
    mine, its, look = Tally("m", "1"), Tally("m", "2"), 0
    while its.ended < most:
        look += 1
        due = its.ended
        while look_at(due, spec.min_requests) < look:
            due += 1
        mine = live.serve(mine, rng, round((due - its.ended) * (1 - share) / share))
        its = canary.serve(its, rng, due - its.ended)
        yield look, mine, its, due


def first_failure(
    live: Version, canary: Version, seed: int, most: int, spec: CanarySpec | None = None
) -> tuple[str, int] | None:
    """Which check of one step fails first and after how many requests; None where none does."""
    spec = spec or CanarySpec()
    for look, mine, its, requests in looks(live, canary, spec, 0.05, seed, most):
        for check in checks_of(mine, its, spec, look):
            if check.verdict == "fail":
                return check.name, requests
    return None
