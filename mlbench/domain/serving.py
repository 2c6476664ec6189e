"""How environments serve: their settings, what shares their traffic, and what they tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from mlbench.domain.records import dataclass

LOOPBACK = "127.0.0.1"
SMOKE_TEST = "mlbench-smoke-test"
"""The id of requests by which a version is tried before it goes anywhere: they are no client's."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How an environment's server works; every value may be set under [environments.NAME].

    `workers` 0 takes one for each core. `queue` is how many requests may wait for one model in one
    worker, `deadline` how many seconds one may take, waiting included. `batching` allows dynamic
    batches where a model's timings say that they pay. `log_requests` is the share of requests that
    are logged, `log_inputs` whether with their inputs; the log keeps `log_bytes` and `log_seconds`.
    """

    host: str = LOOPBACK
    workers: int = 0
    connections: int = 1024
    queue: int = 256
    deadline: float = 30.0
    batching: bool = True
    log_requests: float = 1.0
    log_inputs: bool = True
    log_bytes: int = 256_000_000
    log_seconds: float = 14 * 86_400.0


@dataclass(frozen=True, slots=True)
class CanarySpec:
    """When a canary moves on, passes or is rolled back.

    `steps` are its shares of the traffic; each needs `min_requests` of its own. The candidate may
    fail in `max_error_increase` more of its requests than the live version, take
    `max_latency_ratio` times as long, and its predictions may lie `max_shift` apart (population
    stability index).
    """

    steps: tuple[float, ...] = (0.05, 0.25, 0.5)
    min_requests: int = 500
    max_error_increase: float = 0.01
    max_latency_ratio: float = 1.5
    max_shift: float = 0.2


@dataclass(frozen=True, slots=True)
class ShadowSpec:
    """`share` of requests are copied at most; the live p99 may grow by `p99_budget` of itself."""

    share: float = 1.0
    p99_budget: float = 0.1


@dataclass(frozen=True, slots=True)
class Traffic:
    """What shares the requests for one model beside its live version.

    `weights` are shares of 1 by version, as texts, for JSON's sake, and empty where the live
    version gets all; `canary` and `shadow` are versions. `canary_entry` is the number of the entry
    of the ledger that the canary began with, 0 where there is none.
    """

    model: str
    weights: Mapping[str, float] = field(default_factory=dict)
    canary: int | None = None
    shadow: int | None = None
    canary_entry: int = 0


@dataclass(frozen=True, slots=True)
class CanaryCheck:
    """One measure of a canary against the live version: `verdict` is pass, fail or wait."""

    name: str
    verdict: str
    value: float | None = None
    limit: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class CanaryState:
    """How a canary stands: `verdict` is running, passed or failed.

    `entry` is the number of the ledger's entry that it began with, by which it is known from other
    canaries of the same version. `share` is what it gets now and `step` the place of that among
    the steps; `requests` counts those that it answered in this step.
    """

    model: str
    version: int
    live: int
    entry: int
    started: str
    step: int = 0
    share: float = 0.0
    requests: int = 0
    verdict: str = "running"
    why: str = ""
    checks: tuple[CanaryCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class ShadowState:
    """How a shadow's answers compare with the live ones, row by row, and what it costs.

    `dropped` are copies that found no idle capacity; `share` is what is copied now. `p99_with` and
    `p99_without` are the live p99 in milliseconds while requests are copied and while not.
    """

    model: str
    version: int
    live: int
    compared: int = 0
    flips: int = 0
    failed: int = 0
    dropped: int = 0
    max_abs_error: float = 0.0
    share: float = 0.0
    p99_with: float | None = None
    p99_without: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request of the log with its answer; `at` is when it was answered, `seconds` what it took.

    `inputs` and `outputs` are tensors as the protocol's JSON has them, data flat; where `is_rows`,
    records by column and what was predicted for each. They are None where they were not logged or
    can't be read, and `missing` says why of the inputs. `error` is the sentence of one that was
    refused. `label` came later: one value, or one a row.
    """

    id: str
    at: str
    model: str
    version: str
    status: int
    seconds: float
    inputs: tuple[Mapping[str, Any], ...] | None = None
    outputs: tuple[Mapping[str, Any], ...] | None = None
    label: Any = None
    is_rows: bool = False
    error: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class ReplayFlip:
    """A row of a logged request that another version answers otherwise."""

    id: str
    row: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """Logged requests asked again of another version, and how its answers compare.

    `asked` were the newest, `compared` those that both answered. `refused` are those that the other
    version does not take, `failed` those on which it broke down, `unreadable` those whose inputs or
    answer the log has not; `reasons` count why, in sentences. `flips` are the first of `flipped`
    rows, `rows` how many were compared. Errors are over scores. Seconds are medians and 99th
    percentiles: `before` in the server, waiting included, `after` of the model alone.
    """

    model: str
    version: str
    environment: str
    asked: int = 0
    compared: int = 0
    rows: int = 0
    flipped: int = 0
    refused: int = 0
    failed: int = 0
    unreadable: int = 0
    flips: tuple[ReplayFlip, ...] = ()
    max_abs_error: float = 0.0
    mean_abs_error: float = 0.0
    worst_id: str = ""
    median_before: float | None = None
    p99_before: float | None = None
    median_after: float | None = None
    p99_after: float | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
