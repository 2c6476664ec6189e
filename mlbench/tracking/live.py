"""The latest values of a script that goes on logging, from the ends of its logs alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mlbench.inside.steplog import (
    FREE,
    KIND_OFFSET,
    NAMES_SUFFIX,
    POINT,
    PREFIX,
    RECORD,
    RECORDS_SUFFIX,
)

_RECORDS = 8192
"""So many of the newest records are looked at; a metric that isn't among them is left out."""


def latest_values(stage_folder: Path) -> dict[str, float]:
    """The newest value of each metric that was logged lately, by step and then by time."""
    newest: dict[str, tuple[int, float, float]] = {}
    for log in sorted(stage_folder.glob(f"{PREFIX}*{RECORDS_SUFFIX}")):
        with contextlib.suppress(OSError):
            names = log.with_suffix(NAMES_SUFFIX).read_bytes().split(b"\n")[:-1]
            for step, value, at, name_id, kind in RECORD.iter_unpack(_tail(log)):
                if kind == POINT and name_id < len(names):
                    name = names[name_id].decode(errors="replace")
                    known = newest.get(name)
                    if known is None or known[:2] <= (step, at):
                        newest[name] = (step, at, value)
    return {name: value for name, (_, _, value) in newest.items()}


def _tail(log: Path) -> bytes:
    """The newest whole records of a log."""
    with log.open("rb", buffering=0) as file:
        descriptor = file.fileno()
        end = _end(descriptor, os.fstat(descriptor).st_size // RECORD.size)
        first = max(0, end - _RECORDS)
        data = os.pread(descriptor, (end - first) * RECORD.size, first * RECORD.size)
    return data[: len(data) // RECORD.size * RECORD.size]


def _end(descriptor: int, records: int) -> int:
    """How many of so many records are written: the others, all behind them, are free."""
    low, high = 0, records
    while low < high:
        middle = (low + high) // 2
        kind = os.pread(descriptor, 1, middle * RECORD.size + KIND_OFFSET)
        low, high = (low, middle) if kind in (b"", bytes([FREE])) else (middle + 1, high)
    return low
