"""`[environments.NAME]` tables to their specifications."""

from __future__ import annotations

import re

from mlbench.domain.expression import ROOTS
from mlbench.domain.serving import CanarySpec, ServerSettings, ShadowSpec
from mlbench.domain.stages import EnvironmentSpec
from mlbench.project import keys
from mlbench.project.fields import Table

# Roots of names in gates that are no environments.
RESERVED_ENVIRONMENTS = tuple(set(ROOTS) - {"production", "staging"})
_HIGHEST_PORT = 65535
_MOST_WORKERS = 64
_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*|localhost")


def read_environment(table: Table, name: str) -> EnvironmentSpec:
    """The environment of a table; ProjectFileError for an unknown key or a wrong value."""
    table.file.refuse_unknown(table.value, keys.ENVIRONMENT, table.where)
    table.check_name(name, "an environment")
    if name in RESERVED_ENVIRONMENTS:
        table.fail("", f'"{name}" means something else in gates; choose another name')
    port = table.whole("port")
    if port is None or not 0 < port <= _HIGHEST_PORT:
        table.fail("port", f"an environment needs a port from 1 to {_HIGHEST_PORT}")
    return EnvironmentSpec(
        name=name,
        port=port,
        require=table.texts("require"),
        on_promote=_on_promote(table),
        settings=_settings(table),
        canary=_canary(table.inner("canary")),
        shadow=_shadow(table.inner("shadow")),
    )


def _on_promote(table: Table) -> str | None:
    command = table.text("on_promote")
    if command is not None:
        # Late: few environments have one.
        from mlbench.domain.outside import problem_in

        problem = problem_in(command)
        if problem is not None:
            table.fail("on_promote", problem)
    return command


def _settings(table: Table) -> ServerSettings:
    """How the server works; what is not said is as ServerSettings has it."""
    usual = ServerSettings()
    host = table.text("host") or usual.host
    if not _ADDRESS.fullmatch(host):
        table.fail("host", f'"{host}" is no address of this machine; write it as "127.0.0.1"')
    workers = table.whole("workers", 1) or usual.workers
    if workers > _MOST_WORKERS:
        table.fail("workers", f"must be {_MOST_WORKERS} or less")
    return ServerSettings(
        host=host,
        workers=workers,
        connections=table.whole("connections", 1) or usual.connections,
        queue=table.whole("queue", 1) or usual.queue,
        deadline=table.seconds("deadline") or usual.deadline,
        batching=table.flag("batching", usual.batching),
        log_requests=table.number("log_requests", usual.log_requests, 0.0, 1.0),
        log_inputs=table.flag("log_inputs", usual.log_inputs),
        log_bytes=table.size("log_size") or usual.log_bytes,
        log_seconds=table.seconds("log_age") or usual.log_seconds,
    )


def _canary(table: Table) -> CanarySpec:
    table.file.refuse_unknown(table.value, keys.CANARY, table.where)
    usual = CanarySpec()
    return CanarySpec(
        steps=_steps(table, usual.steps),
        min_requests=table.whole("min_requests", 1) or usual.min_requests,
        max_error_increase=table.number("max_error_increase", usual.max_error_increase, 0.0, 1.0),
        max_latency_ratio=table.number("max_latency_ratio", usual.max_latency_ratio, 1.0, 1000.0),
        max_shift=table.number("max_shift", usual.max_shift, 0.0, 100.0),
    )


def _steps(table: Table, usual: tuple[float, ...]) -> tuple[float, ...]:
    """Shares of the traffic that grow, each over 0 and up to 1."""
    steps = table.value.get("steps", list(usual))
    numbers = isinstance(steps, list) and all(type(step) in (int, float) for step in steps)
    if (
        not numbers
        or not steps
        or steps != sorted(set(steps))
        or not 0 < steps[0] <= steps[-1] <= 1
    ):
        table.fail("steps", "must be shares that grow, each over 0 and up to 1: [0.05, 0.25, 0.5]")
    return tuple(float(step) for step in steps)


def _shadow(table: Table) -> ShadowSpec:
    table.file.refuse_unknown(table.value, keys.SHADOW, table.where)
    usual = ShadowSpec()
    return ShadowSpec(
        share=table.number("share", usual.share, 0.0, 1.0),
        p99_budget=table.number("p99_budget", usual.p99_budget, 0.0, 10.0),
    )
