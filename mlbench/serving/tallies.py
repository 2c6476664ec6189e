"""What all workers of a server counted, read while they count (see `counters`)."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path

from mlbench.domain.tally import Tally
from mlbench.serving.counter_file import (
    BATCHES,
    BLOCK,
    COMPUTED,
    COUNTS,
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
    WORD,
    named_by,
)

_WORDS = struct.Struct(f"={COUNTS}Q")
_SECONDS = struct.Struct("=4d")
_RING = struct.Struct(f"={RING}d")
_COUNT = struct.Struct("=Q")

Moments = list[tuple[float, float]]
"""Predictions, each after the second it came in, oldest first."""


def read_tallies(folder: Path) -> tuple[Tally, ...]:
    """What all workers counted, a tally for each version, in the order of their names.

    None where no server ever counted. A number that is being changed is read before or after.
    """
    return TallyReader(folder).read()


class TallyReader:
    """Reads the tallies of one server again and again; what did not change costs a look at it."""

    def __init__(self, folder: Path, *, predictions: bool = True) -> None:
        """Name the folder; it need not be there yet. Without predictions it is quicker."""
        self._folder = folder
        self._has_predictions = predictions
        self._seen: dict[str, tuple[bytes, Tally]] = {}

    def read(self) -> tuple[Tally, ...]:
        """As `read_tallies`."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            names = []
        found = {name: one for name in names if (one := self._look(name)) is not None}
        self._seen = found
        return tuple(tally for _, tally in found.values())

    def _look(self, name: str) -> tuple[bytes, Tally] | None:
        """The counts of one file as they are written there, and as a tally."""
        try:
            descriptor = os.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if "@" not in name or os.fstat(descriptor).st_size != SIZE:
                return None
            begins = _blocks(descriptor)
            counts = b"".join(os.pread(descriptor, COUNTS * WORD, begin) for begin in begins)
            seen = self._seen.get(name)
            if seen is not None and seen[0] == counts:
                return seen
            newest = _newest(descriptor, begins, counts) if self._has_predictions else ()
            return counts, _tally(name, counts, newest)
        finally:
            os.close(descriptor)


def _blocks(descriptor: int) -> list[int]:
    """Where the blocks of those workers begin that ever counted in this file."""
    used = os.pread(descriptor, MOST_WORKERS, 0)
    return [MOST_WORKERS + worker * BLOCK for worker, is_used in enumerate(used) if is_used]


def _tally(name: str, counts: bytes, predictions: tuple[float, ...]) -> Tally:
    blocks = list(_WORDS.iter_unpack(counts))
    sums = list(map(sum, zip(*blocks, strict=True))) if len(blocks) > 1 else [*_first(blocks)]
    step = COUNTS * WORD
    seconds = [
        _SECONDS.unpack_from(counts, begin + TOOK * WORD) for begin in range(0, len(counts), step)
    ]
    latencies, batches = tuple(sums[LATENCIES:BATCHES]), tuple(sums[BATCHES:COUNTS])
    return Tally(
        *named_by(name),
        answered=sum(latencies),
        refused=sums[REFUSED],
        failed=sums[FAILED],
        expired=sums[EXPIRED],
        turned_away=sums[TURNED_AWAY],
        rows=sums[ROWS],
        calls=sum(batches),
        took=sum(block[0] for block in seconds),
        waited=sum(block[WAITED - TOOK] for block in seconds),
        computed=sum(block[COMPUTED - TOOK] for block in seconds),
        queued=sums[QUEUED],
        in_flight=sums[IN_FLIGHT],
        logged=sums[LOGGED],
        log_dropped=sums[LOG_DROPPED],
        last=max((block[LAST - TOOK] for block in seconds), default=0.0),
        predicted=sums[PREDICTED],
        latencies=latencies,
        batches=batches,
        predictions=predictions,
    )


def _first(blocks: Sequence[tuple[int, ...]]) -> Sequence[int]:
    return blocks[0] if blocks else (0,) * COUNTS


def _newest(descriptor: int, begins: Sequence[int], counts: bytes) -> tuple[float, ...]:
    """The newest predictions of all workers in the order they came, and none left out between.

    Where one worker has more than it keeps, those of the others before its oldest are left out.
    """
    kept: list[Moments] = []
    since = 0.0
    for place, begin in enumerate(begins):
        (count,) = _COUNT.unpack_from(counts, (place * COUNTS + PREDICTED) * WORD)
        if count:
            moments = _ring(descriptor, begin, count)
            kept.append(moments)
            if count > RING:
                since = max(since, moments[0][0])
    ordered = sorted(chain.from_iterable(kept), key=itemgetter(0)) if len(kept) > 1 else None
    newest = ordered if ordered is not None else next(iter(kept), [])
    return tuple(value for moment, value in newest if moment >= since)


def _ring(descriptor: int, begin: int, count: int) -> Moments:
    """The predictions that one worker keeps."""
    data = os.pread(descriptor, 2 * RING * WORD, begin + VALUES * WORD)
    values = _RING.unpack_from(data, 0)
    moments = _RING.unpack_from(data, (MOMENTS - VALUES) * WORD)
    pairs = list(zip(moments, values, strict=True))
    at = count % RING
    return pairs[:count] if count <= RING else pairs[at:] + pairs[:at]
