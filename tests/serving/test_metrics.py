from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mlbench.domain.tally import BATCH_BOUNDS, LATENCY_BOUNDS, Tally
from mlbench.serving.metrics import CONTENT_TYPE, exposition

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def of(model: str, version: str, **labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"model": model, "version": version, **labels}.items()))


def tally(times: Sequence[float], rows: Sequence[int] = (), model: str = "digits") -> Tally:
    places = np.searchsorted(LATENCY_BOUNDS, times)
    sizes = np.searchsorted(BATCH_BOUNDS, rows)
    return Tally(
        model,
        "3",
        answered=len(times),
        refused=2,
        failed=5,
        expired=1,
        turned_away=3,
        rows=sum(rows),
        calls=len(rows),
        took=sum(times),
        waited=0.5,
        computed=1.5,
        queued=7,
        in_flight=4,
        logged=60,
        log_dropped=6,
        latencies=tuple(np.bincount(places, minlength=len(LATENCY_BOUNDS) + 1).tolist()),
        batches=tuple(np.bincount(sizes, minlength=len(BATCH_BOUNDS) + 1).tolist()),
    )


def test_everything_counted_is_told_by_model_and_version() -> None:
    gauges = {"connections": 9, "workers": 2, "restarts": 1, "models": 3, "refused_before": 5}
    found = samples(exposition([tally([0.001, 0.2], [1, 8])], gauges))
    requests = {
        code: found["mlbench_inference_requests_total", of("digits", "3", code=code)]
        for code in ("2xx", "4xx", "5xx")
    }
    assert requests == {"2xx": 2, "4xx": 2, "5xx": 5}
    figures = {
        "rows_total": 9,
        "exec_total": 2,
        "queue_duration_seconds_total": 0.5,
        "compute_duration_seconds_total": 1.5,
        "queue_full_total": 3,
        "deadline_exceeded_total": 1,
        "logged_total": 60,
        "log_dropped_total": 6,
        "queue_size": 7,
        "in_flight": 4,
        "request_duration_seconds_count": 2,
        "batch_rows_count": 2,
        "batch_rows_sum": 9,
    }
    for name, value in figures.items():
        assert found[f"mlbench_inference_{name}", of("digits", "3")] == value, name
    assert found["mlbench_open_connections", ()] == 9
    assert found["mlbench_workers", ()] == 2
    assert found["mlbench_models_loaded", ()] == 3
    assert found["mlbench_worker_restarts_total", ()] == 1
    assert found["mlbench_refused_requests_total", ()] == 5
    (build,) = (labels for name, labels in found if name == "mlbench_build_info")
    assert {"onnxruntime", "python"} <= {label for label, _ in build}


@settings(max_examples=40)
@given(st.lists(st.floats(1e-5, 60.0), max_size=100), st.lists(st.integers(1, 9000), max_size=50))
def test_histograms_are_cumulative_and_end_in_all(times: list[float], rows: list[int]) -> None:
    families = {
        family.name: family.samples
        for family in text_string_to_metric_families(exposition([tally(times, rows)], {}).decode())
    }
    for name, values in (("request_duration_seconds", times), ("batch_rows", rows)):
        found = families[f"mlbench_inference_{name}"]
        buckets = [
            (float(sample.labels["le"]), sample.value)
            for sample in found
            if sample.name.endswith("_bucket")
        ]
        assert [bound for bound, _ in buckets] == sorted({bound for bound, _ in buckets})
        counts = [count for _, count in buckets]
        assert counts == sorted(counts)
        assert counts[-1] == len(values)
        assert math.isinf(buckets[-1][0])
        for bound, count in buckets[:-1]:
            # A bound lies within a bucket of the fine ones, an eighth wide.
            assert sum(value <= bound / 1.13 for value in values) <= count
            assert count <= sum(value <= bound * 1.13 for value in values)


def test_names_of_models_may_hold_anything() -> None:
    name = 'a"b\\c\nd'
    found = samples(exposition([tally([0.1], model=name)], {}))
    assert found["mlbench_inference_queue_size", of(name, "3")] == 7


def test_a_server_without_models_says_so_in_the_form_that_is_promised() -> None:
    text = exposition([], {"workers": 2.0})
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")
    assert samples(text)["mlbench_workers", ()] == 2


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_own_check_has_nothing_to_say() -> None:
    text = exposition([tally([0.001, 0.2], [1, 8])], {"connections": 9.0, "restarts": 1.0})
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
