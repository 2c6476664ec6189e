"""What a server counted as Triton's statistics extension gives it.

Source: Triton's protocol/extension_statistics.md. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlbench.domain.tally import BATCH_BOUNDS, Tally


def statistics(tallies: Iterable[Tally]) -> dict[str, Any]:
    """`model_stats` for these versions: times in nanoseconds, the last request in milliseconds.

    Reading inputs and writing outputs is not counted apart, and nothing is cached: both are 0.
    Batches are told by the powers of two that hold them, the way they are counted.
    """
    return {"model_stats": [_of(tally) for tally in tallies]}


def _of(tally: Tally) -> dict[str, Any]:
    failed = tally.refused + tally.failed
    nothing = {"count": 0, "ns": 0}
    computed = {"count": tally.answered, "ns": _ns(tally.computed)}
    return {
        "name": tally.model,
        "version": tally.version,
        "last_inference": int(tally.last * 1000),
        "inference_count": tally.rows,
        "execution_count": tally.calls,
        "inference_stats": {
            "success": {"count": tally.answered, "ns": _ns(tally.took)},
            # How long requests took that ended otherwise is not counted.
            "fail": {"count": failed, "ns": 0},
            "queue": {"count": tally.answered, "ns": _ns(tally.waited)},
            "compute_input": {"count": tally.answered, "ns": 0},
            "compute_infer": computed,
            "compute_output": {"count": tally.answered, "ns": 0},
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "response_stats": {},
        "batch_stats": _batches(tally),
        "memory_usage": [],
    }


def _batches(tally: Tally) -> list[dict[str, Any]]:
    """The batch sizes that were computed; the time of all runs is shared out by their number."""
    sizes = [*BATCH_BOUNDS, 2 * BATCH_BOUNDS[-1]]
    return [
        {
            "batch_size": size,
            "compute_input": {"count": count, "ns": 0},
            "compute_infer": {"count": count, "ns": _ns(tally.computed * count / tally.calls)},
            "compute_output": {"count": count, "ns": 0},
        }
        for size, count in zip(sizes, tally.batches, strict=True)
        if count
    ]


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
