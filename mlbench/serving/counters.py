"""Counters that many processes read while the workers count: a mapped file for each version.

Each worker has a block of its own in every file, so that counting is an addition in memory, needs
no lock, and a killed worker loses nothing that it counted.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from mlbench.domain.tally import BATCH_BOUNDS, LATENCY_BOUNDS, Tally

MOST_WORKERS = 64
_RING = 2048
_COUNTS = 32
_LATENCIES = _COUNTS
_BATCHES = _LATENCIES + len(LATENCY_BOUNDS) + 1
_PREDICTIONS = _BATCHES + len(BATCH_BOUNDS) + 1
_WORDS = _PREDICTIONS + _RING
_BLOCK = _WORDS * 8
_SIZE = _BLOCK * MOST_WORKERS

(
    _ANSWERED,
    _REFUSED,
    _FAILED,
    _EXPIRED,
    _TURNED_AWAY,
    _ROWS,
    _CALLS,
    _TOOK_NS,
    _WAITED_NS,
    _COMPUTED_NS,
    _QUEUED,
    _IN_FLIGHT,
    _LOGGED,
    _LOG_DROPPED,
    _LAST_MS,
    _PREDICTED,
) = range(16)


class Counters:
    """One worker's counters of one model version; for that worker's threads that hold the GIL."""

    def __init__(self, folder: Path, model: str, version: str, worker: int) -> None:
        """Count in the block of this worker, 0 … MOST_WORKERS - 1, on from what stands there."""
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / _file_name(model, version), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # A hole in the file takes no room, and growing to the size it has changes nothing.
            os.ftruncate(descriptor, _SIZE)
            self._map = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        block = memoryview(self._map)[worker * _BLOCK : (worker + 1) * _BLOCK]
        self._words = block.cast("Q")
        self._ring = block[_PREDICTIONS * 8 :].cast("d")
        self._words[_QUEUED] = self._words[_IN_FLIGHT] = 0

    def ended(self, status: int, took: float) -> None:
        """Count a request that ended: its HTTP status and the seconds that it took."""
        words = self._words
        words[_LAST_MS] = time.time_ns() // 1_000_000
        if status < 400:
            words[_ANSWERED] += 1
            words[_TOOK_NS] += int(took * 1e9)
            words[_LATENCIES + bisect_left(LATENCY_BOUNDS, took)] += 1
        elif status < 500:
            words[_REFUSED] += 1
        else:
            words[_FAILED] += 1
            if status == 504:
                words[_EXPIRED] += 1
            elif status == 503:
                words[_TURNED_AWAY] += 1

    def called(self, rows: int, waited: float, computed: float) -> None:
        """Count a run of the model on so many rows; `waited` is the sum over its requests."""
        words = self._words
        words[_CALLS] += 1
        words[_ROWS] += rows
        words[_WAITED_NS] += int(waited * 1e9)
        words[_COMPUTED_NS] += int(computed * 1e9)
        words[_BATCHES + bisect_left(BATCH_BOUNDS, rows)] += 1

    def predicted(self, values: Sequence[float]) -> None:
        """Keep the newest predictions, one a row."""
        count = self._words[_PREDICTED]
        for place, value in enumerate(values[-_RING:], start=count):
            self._ring[place % _RING] = value
        self._words[_PREDICTED] = count + min(len(values), _RING)

    def queued(self, requests: int) -> None:
        """Say how many requests wait for the model now."""
        self._words[_QUEUED] = requests

    def in_flight(self, requests: int) -> None:
        """Say how many requests are being computed now."""
        self._words[_IN_FLIGHT] = requests

    def logged(self, kept: int, dropped: int) -> None:
        """Count requests that went to the log, and those that it had no room for."""
        self._words[_LOGGED] += kept
        self._words[_LOG_DROPPED] += dropped


def read_tallies(folder: Path) -> tuple[Tally, ...]:
    """What all workers counted, a tally for each version, in the order of their names.

    None where no server ever counted. A number that is being changed is read before or after.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ()
    return tuple(found for name in names if (found := _read(folder / name)) is not None)


def _read(path: Path) -> Tally | None:
    model, separator, version = path.name.rpartition("@")
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not separator or len(data) != _SIZE:
        return None
    blocks = [
        struct.unpack_from(f"={_PREDICTIONS}Q", data, worker * _BLOCK)
        for worker in range(MOST_WORKERS)
        if data[worker * _BLOCK : worker * _BLOCK + _COUNTS * 8].strip(b"\0")
    ]
    kept = [
        _newest(data, worker)
        for worker in range(MOST_WORKERS)
        if data[worker * _BLOCK + _PREDICTED * 8 :][:8].strip(b"\0")
    ]
    sums = [sum(column) for column in zip(*blocks, strict=True)] or [0] * _PREDICTIONS
    return Tally(
        unquote(model),
        unquote(version),
        answered=sums[_ANSWERED],
        refused=sums[_REFUSED],
        failed=sums[_FAILED],
        expired=sums[_EXPIRED],
        turned_away=sums[_TURNED_AWAY],
        rows=sums[_ROWS],
        calls=sums[_CALLS],
        took=sums[_TOOK_NS] / 1e9,
        waited=sums[_WAITED_NS] / 1e9,
        computed=sums[_COMPUTED_NS] / 1e9,
        queued=sums[_QUEUED],
        in_flight=sums[_IN_FLIGHT],
        logged=sums[_LOGGED],
        log_dropped=sums[_LOG_DROPPED],
        last=max((block[_LAST_MS] for block in blocks), default=0) / 1000,
        predicted=sums[_PREDICTED],
        latencies=tuple(sums[_LATENCIES:_BATCHES]),
        batches=tuple(sums[_BATCHES:_PREDICTIONS]),
        predictions=_taken_in_turn(kept),
    )


def _newest(data: bytes, worker: int) -> tuple[float, ...]:
    """The predictions that one worker keeps, oldest first."""
    begin = worker * _BLOCK
    (count,) = struct.unpack_from("=Q", data, begin + _PREDICTED * 8)
    ring = struct.unpack_from(f"={_RING}d", data, begin + _PREDICTIONS * 8)
    at = count % _RING
    ordered = ring[:count] if count <= _RING else (*ring[at:], *ring[:at])
    return tuple(value for value in ordered if math.isfinite(value))


def _taken_in_turn(kept: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The newest of all workers, as evenly as they go, the newest last."""
    longest = max(map(len, kept), default=0)
    return tuple(
        values[len(values) - age]
        for age in range(longest, 0, -1)
        for values in kept
        if len(values) >= age
    )


def _file_name(model: str, version: str) -> str:
    return f"{quote(model, safe='')}@{quote(version, safe='')}"
