"""What a server counted as Prometheus scrapes it, in the style of its and Triton's names.

Sources: https://prometheus.io/docs/practices/naming and Triton's docs/user_guide/metrics.md.
"""

from __future__ import annotations

import contextlib
import functools
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from mlbench.domain.tally import BATCH_BOUNDS, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# A scrape of every fine bucket would be ten times as long: of each few the last is told, whose
# count is exact for its own bound.
_SECONDS: tuple[float, ...] = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
)
_SECONDS += (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LABELS = ("model", "version")

_COUNTERS: tuple[tuple[str, str, Callable[[Tally], float]], ...] = (
    ("rows", "Rows that models were given.", lambda tally: tally.rows),
    ("exec", "Runs of models; fewer than requests where they are batched.", lambda t: t.calls),
    ("queue_duration_seconds", "Waiting for a model, summed over requests.", lambda t: t.waited),
    ("compute_duration_seconds", "Computing, summed over runs.", lambda tally: tally.computed),
    ("queue_full", "Requests turned away with 503: the queue was full.", lambda t: t.turned_away),
    ("deadline_exceeded", "Requests ended with 504: too late.", lambda tally: tally.expired),
    ("logged", "Requests that went to the request log.", lambda tally: tally.logged),
    ("log_dropped", "Requests that the request log had no room for.", lambda t: t.log_dropped),
)
_GAUGES: Mapping[str, tuple[str, str]] = {
    "connections": ("open_connections", "Connections of all workers, as of the last second."),
    "workers": ("workers", "Processes that answer."),
    "models": ("models_loaded", "Versions of models that answer."),
}
# As the gauges, of what only ever grows.
_TOTALS: Mapping[str, tuple[str, str]] = {
    "restarts": ("worker_restarts", "Workers that died and were replaced."),
    "refused_before": ("refused_requests", "Requests refused before they came to a model."),
}


def exposition(tallies: Sequence[Tally], gauges: Mapping[str, float]) -> bytes:
    """All figures as text in Prometheus' format 0.0.4, for `CONTENT_TYPE`.

    `gauges` are figures of the whole server by name.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Server(tallies, gauges))
    return generate_latest(registry)


class _Server(Collector):
    """Makes the families of one scrape."""

    def __init__(self, tallies: Sequence[Tally], gauges: Mapping[str, float]) -> None:
        self._tallies, self._gauges = tallies, gauges

    def collect(self) -> Iterator[Metric]:
        yield _requests(self._tallies)
        for name, text, value in _COUNTERS:
            family = CounterMetricFamily(f"mlbench_inference_{name}", text, labels=_LABELS)
            for tally in self._tallies:
                family.add_metric((tally.model, tally.version), value(tally))
            yield family
        yield _durations(self._tallies)
        yield _batches(self._tallies)
        yield _now("queue_size", "Requests that wait for a model.", self._queued())
        yield _now("in_flight", "Requests being computed.", self._in_flight())
        yield from self._of_the_server()

    def _queued(self) -> Iterable[tuple[Tally, int]]:
        return ((tally, tally.queued) for tally in self._tallies)

    def _in_flight(self) -> Iterable[tuple[Tally, int]]:
        return ((tally, tally.in_flight) for tally in self._tallies)

    def _of_the_server(self) -> Iterator[Metric]:
        for key, value in self._gauges.items():
            if key in _TOTALS:
                name, text = _TOTALS[key]
                yield CounterMetricFamily(f"mlbench_{name}", text, value=value)
            else:
                name, text = _GAUGES.get(key, (key, f"{key.replace('_', ' ').capitalize()}."))
                yield GaugeMetricFamily(f"mlbench_{name}", text, value=value)
        yield InfoMetricFamily("mlbench_build", "What the server is made of.", value=_build())


@functools.cache
def _build() -> dict[str, str]:
    """The versions of what answers, as far as they are installed packages."""
    found = {"python": platform.python_version()}
    for label, package in (("version", "mlbench"), ("onnxruntime", "onnxruntime")):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[label] = metadata.version(package)
    return found


def _requests(tallies: Iterable[Tally]) -> Metric:
    family = CounterMetricFamily(
        "mlbench_inference_requests",
        "Inference requests that ended, by the class of their HTTP status.",
        labels=(*_LABELS, "code"),
    )
    for tally in tallies:
        counts = {"2xx": tally.answered, "4xx": tally.refused, "5xx": tally.failed}
        for code, count in counts.items():
            family.add_metric((tally.model, tally.version, code), count)
    return family


def _durations(tallies: Iterable[Tally]) -> Metric:
    family = HistogramMetricFamily(
        "mlbench_inference_request_duration_seconds",
        "From the last byte of a request to its answer, waiting included; of answered ones.",
        labels=_LABELS,
    )
    for tally in tallies:
        buckets = [(f"{bound:g}", _within(tally, bound)) for bound in _SECONDS]
        buckets.append(("+Inf", float(tally.answered)))
        family.add_metric((tally.model, tally.version), buckets, tally.took)
    return family


def _within(tally: Tally, seconds: float) -> float:
    """How many answers took no longer, interpolated in their bucket and so a whole number."""
    return float(round(min(max(tally.answered - tally.slower_than(seconds), 0), tally.answered)))


def _batches(tallies: Iterable[Tally]) -> Metric:
    family = HistogramMetricFamily(
        "mlbench_inference_batch_rows", "Rows that a model was given at once.", labels=_LABELS
    )
    for tally in tallies:
        counts = list(accumulate(tally.batches))
        buckets = [
            (f"{bound}", float(count)) for bound, count in zip(BATCH_BOUNDS, counts, strict=False)
        ]
        buckets.append(("+Inf", float(counts[-1])))
        family.add_metric((tally.model, tally.version), buckets, float(tally.rows))
    return family


def _now(name: str, text: str, values: Iterable[tuple[Tally, int]]) -> Metric:
    family = GaugeMetricFamily(f"mlbench_inference_{name}", text, labels=_LABELS)
    for tally, value in values:
        family.add_metric((tally.model, tally.version), value)
    return family
