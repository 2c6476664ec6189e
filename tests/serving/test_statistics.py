from __future__ import annotations

import json

from mlbench.domain.tally import BATCH_BOUNDS, Tally
from mlbench.serving.statistics import statistics

DURATIONS = {
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
}


def test_a_version_is_told_as_triton_tells_it() -> None:
    batches = [0] * (len(BATCH_BOUNDS) + 1)
    batches[0], batches[3], batches[-1] = 6, 2, 2
    tally = Tally(
        "digits",
        "3",
        answered=9,
        refused=1,
        failed=2,
        rows=30,
        calls=10,
        took=0.5,
        waited=0.1,
        computed=0.25,
        last=1_795_000_000.125,
        batches=tuple(batches),
    )
    found = json.loads(json.dumps(statistics([tally])))
    (one,) = found["model_stats"]
    assert (one["name"], one["version"]) == ("digits", "3")
    assert one["last_inference"] == 1_795_000_000_125
    assert (one["inference_count"], one["execution_count"]) == (30, 10)
    told = one["inference_stats"]
    assert set(told) == DURATIONS
    assert all(set(value) == {"count", "ns"} for value in told.values())
    assert told["success"] == {"count": 9, "ns": 500_000_000}
    assert told["fail"]["count"] == 3
    assert told["queue"]["ns"] == 100_000_000
    assert told["compute_infer"] == {"count": 9, "ns": 250_000_000}
    assert [item["batch_size"] for item in one["batch_stats"]] == [1, 8, 4096]
    assert [item["compute_infer"]["count"] for item in one["batch_stats"]] == [6, 2, 2]
    assert sum(item["compute_infer"]["ns"] for item in one["batch_stats"]) == 250_000_000


def test_a_version_that_nobody_asked_has_zeros_and_no_batches() -> None:
    (one,) = statistics([Tally("digits", "1")])["model_stats"]
    assert one["batch_stats"] == []
    assert {value["count"] for value in one["inference_stats"].values()} == {0}
    assert one["last_inference"] == 0
