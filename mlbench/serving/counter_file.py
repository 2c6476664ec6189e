"""How counters lie in a file: words of eight bytes, a block of them for each worker."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from mlbench.domain.tally import BATCH_BOUNDS, LATENCY_BOUNDS

MOST_WORKERS = 64
RING = 2048
"""How many predictions each worker keeps."""

# A file begins with a byte for each worker that ever counted in it; then follow their blocks, of
# words of eight bytes: counts, buckets, and a ring of predictions with the moments they came.
# Seconds are kept as floats, all else as whole numbers.
REFUSED, FAILED, EXPIRED, TURNED_AWAY, ROWS = range(5)
TOOK, WAITED, COMPUTED, LAST = range(5, 9)
QUEUED, IN_FLIGHT, LOGGED, LOG_DROPPED, PREDICTED = range(9, 14)
LATENCIES = 16
BATCHES = LATENCIES + len(LATENCY_BOUNDS) + 1
COUNTS = BATCHES + len(BATCH_BOUNDS) + 1
VALUES = COUNTS
MOMENTS = VALUES + RING
WORD = 8
BLOCK = (MOMENTS + RING) * WORD
SIZE = MOST_WORKERS + BLOCK * MOST_WORKERS


def path_of(folder: Path, model: str, version: str) -> Path:
    """The file in which one version is counted."""
    return folder / f"{quote(model, safe='')}@{quote(version, safe='')}"


def named_by(name: str) -> tuple[str, str]:
    """The model and version that a file's name stands for."""
    model, _, version = name.rpartition("@")
    return unquote(model), unquote(version)
