"""Counters that many processes read while the workers count: a mapped file for each version.

Each worker has a block of its own in every file, so that counting is an addition in memory, needs
no lock, and a killed worker loses nothing that it counted.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import time
from bisect import bisect_left
from collections.abc import Collection, Sequence
from math import isfinite
from pathlib import Path

from mlbench.domain.tally import BATCH_BOUNDS, LATENCY_BOUNDS
from mlbench.serving.counter_file import (
    BATCHES,
    BLOCK,
    COMPUTED,
    EXPIRED,
    FAILED,
    IN_FLIGHT,
    LAST,
    LATENCIES,
    LOG_DROPPED,
    LOGGED,
    MOMENTS,
    MOST_WORKERS,
    PREDICTED,
    QUEUED,
    REFUSED,
    RING,
    ROWS,
    SIZE,
    TOOK,
    TURNED_AWAY,
    VALUES,
    WAITED,
    named_by,
    path_of,
)
from mlbench.serving.tallies import TallyReader, read_tallies

__all__ = ["Counters", "TallyReader", "forget", "forget_old", "read_tallies"]

OLD_VERSIONS = 20
"""How many versions of a model that no worker has any more are still told of."""

_USED = b"\x01"


class Counters:
    """One worker's counters of one model version; all but `logged` are called by one thread."""

    def __init__(self, folder: Path, model: str, version: str, worker: int) -> None:
        """Count in the block of this worker, 0 … MOST_WORKERS - 1, on from what stands there.

        Where the file can't be had, as on a full disk, it counts for itself, and `lost` says why
        nobody else will know.
        """
        self.lost = ""
        try:
            mapped = _mapped(path_of(folder, model, version), worker)
        except OSError as error:
            self.lost = error.strerror or str(error)
            mapped = mmap.mmap(-1, SIZE)
        begin = MOST_WORKERS + worker * BLOCK
        block = memoryview(mapped)[begin : begin + BLOCK]
        # Each store of a whole word is one move in memory: nobody reads half of a number, as they
        # might with struct.pack_into, which clears what it writes to first.
        self._words = block.cast("Q")
        self._seconds = block.cast("d")
        self._words[QUEUED] = self._words[IN_FLIGHT] = 0

    def ended(self, status: int, took: float) -> None:
        """Count a request that ended: its HTTP status and the seconds that it took."""
        seconds = self._seconds
        seconds[LAST] = time.time()
        if status < 400:
            seconds[TOOK] += took
            self._words[LATENCIES + bisect_left(LATENCY_BOUNDS, took)] += 1
        elif status < 500:
            self._words[REFUSED] += 1
        else:
            self._words[FAILED] += 1
            if status == 504:
                self._words[EXPIRED] += 1
            elif status == 503:
                self._words[TURNED_AWAY] += 1

    def called(self, rows: int, waited: float, computed: float) -> None:
        """Count a run of the model on so many rows; `waited` is the sum over its requests."""
        words, seconds = self._words, self._seconds
        words[ROWS] += rows
        seconds[COMPUTED] += computed
        if waited:
            seconds[WAITED] += waited
        words[BATCHES + bisect_left(BATCH_BOUNDS, rows)] += 1

    def predicted(self, values: Sequence[float]) -> None:
        """Keep the newest predictions, one a row; those that are no finite number are left out."""
        words, seconds = self._words, self._seconds
        count = words[PREDICTED]
        now = time.time()
        for value in values[-RING:]:
            if isfinite(value):
                place = count % RING
                seconds[VALUES + place] = value
                seconds[MOMENTS + place] = now
                count += 1
        # Last: what it counts stands by then.
        words[PREDICTED] = count

    def queued(self, requests: int) -> None:
        """Say how many requests wait for the model now."""
        self._words[QUEUED] = requests

    def in_flight(self, requests: int) -> None:
        """Say how many requests are being computed now."""
        self._words[IN_FLIGHT] = requests

    def logged(self, kept: int, dropped: int) -> None:
        """Count requests that went to the log, and those that it had no room for."""
        self._words[LOGGED] += kept
        self._words[LOG_DROPPED] += dropped


def _mapped(path: Path, worker: int) -> mmap.mmap:
    """A version's file in memory, with this worker's block on the disk; OSError without room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Growing to the size that it has changes nothing, and holes for others take no room.
        os.ftruncate(descriptor, SIZE)
        if os.pread(descriptor, 1, worker) != _USED:
            # Written, not left a hole: the store that finds no room for a page kills the process.
            if os.pwrite(descriptor, bytes(BLOCK), MOST_WORKERS + worker * BLOCK) < BLOCK:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.pwrite(descriptor, _USED, worker)
        return mmap.mmap(descriptor, SIZE)
    finally:
        os.close(descriptor)


def forget(folder: Path) -> None:
    """Begin at 0, as a server does before its first worker: what was counted before goes."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            os.unlink(folder / name)


def forget_old(folder: Path, kept: Collection[tuple[str, int]], most: int = OLD_VERSIONS) -> None:
    """Let go what versions counted that are long gone, which would be told of for ever.

    Of each model the newest `most` stay beside those of `kept`, a model's name and a number each.
    """
    by_model: dict[str, list[tuple[int, str]]] = {}
    for name in os.listdir(folder):
        model, version = named_by(name)
        if version.isdecimal() and (model, int(version)) not in kept:
            by_model.setdefault(model, []).append((int(version), name))
    for gone in by_model.values():
        for _, name in sorted(gone)[: max(len(gone) - most, 0)]:
            os.unlink(folder / name)
