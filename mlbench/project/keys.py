"""The keys of mlbench.toml that this version builds; any other is refused as unknown.

The documentation's table is tested against this one.
"""

from __future__ import annotations

TOP = ("project", "stages", "models", "environments")
PROJECT = ("name", "python", "jobs", "objective")
STAGE = (
    "cmd",
    "wdir",
    "deps",
    "params",
    "env",
    "outs",
    "metrics",
    "kind",
    "timeout",
    "on_edit",
    "frozen",
    "always_changed",
    "desc",
)
OUT = ("cache", "persist")
MODEL = ("stage", "path", "format", "sample", "target", "gates")
GATE = ("check", "level")
ENVIRONMENT = ("port", "require")
