"""The keys of mlbench.toml that this version builds; any other is refused as unknown.

The documentation's table is tested against this one.
"""

from __future__ import annotations

TOP = ("project", "stages", "models", "environments", "sweeps")
PROJECT = ("name", "python", "jobs", "objective", "cache")
STAGE = (
    "cmd",
    "wdir",
    "deps",
    "params",
    "env",
    "outs",
    "metrics",
    "plots",
    "kind",
    "timeout",
    "retries",
    "on_edit",
    "deterministic",
    "isolate",
    "launch",
    "resources",
    "frozen",
    "always_changed",
    "desc",
)
DEP = ("path", "check")
RESOURCES = ("cpu", "gpu", "memory")
OUT = ("cache", "persist")
PLOT = ("x", "y", "header", "template", "title", "x_label", "y_label")
MODEL = (
    "stage",
    "path",
    "format",
    "sample",
    "target",
    "predictions",
    "exporter",
    "factory",
    "gates",
)
GATE = ("check", "level", "min_rows")
ENVIRONMENT = (
    "port",
    "require",
    "on_promote",
    "host",
    "workers",
    "connections",
    "queue",
    "deadline",
    "batching",
    "log_requests",
    "log_inputs",
    "log_size",
    "log_age",
    "canary",
    "shadow",
)
CANARY = ("steps", "min_requests", "max_error_increase", "max_latency_ratio", "max_shift")
SHADOW = ("share", "p99_budget")
SWEEP = (
    "stage",
    "objective",
    "space",
    "trials",
    "jobs",
    "sampler",
    "pruner",
    "intermediate",
    "constraints",
    "timeout",
    "patience",
    "repeats",
    "seed",
)
DIMENSION = ("low", "high", "log", "step", "choices", "when")
