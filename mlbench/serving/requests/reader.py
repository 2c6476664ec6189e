"""The request log as it is read, while workers write it: newest first, no more than is wanted."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from mlbench.domain.serving import LoggedRequest
from mlbench.serving.requests.decoding import decoded
from mlbench.serving.requests.records import (
    BEGIN_BYTES,
    END_BYTES,
    Kept,
    entries_of,
    is_whole,
    payload_size,
    payload_size_before,
)
from mlbench.serving.requests.segments import segments, worker_of


def newest(
    folder: Path, count: int, model: str | None = None, version: str | None = None
) -> list[LoggedRequest]:
    """The newest requests of a log, newest first; fewer where there are no more."""
    return [decoded(entry) for entry in islice(newest_kept(folder, model, version), count)]


def newest_first(
    folder: Path, model: str | None = None, id_: str | None = None
) -> Iterator[LoggedRequest]:
    """Requests of a log, newest first, read and decoded as they are asked for; of an id alone."""
    kept = newest_kept(folder, model)
    return (decoded(entry) for entry in kept if id_ in (None, entry.id))


def newest_kept(
    folder: Path, model: str | None = None, version: str | None = None
) -> Iterator[Kept]:
    """Requests as they were kept, newest first, of all workers; read as they are asked for."""
    by_worker: dict[str, list[Path]] = {}
    for segment in segments(folder):
        by_worker.setdefault(worker_of(segment), []).append(segment)
    streams = [_stream(paths[::-1]) for paths in by_worker.values()]
    for entry in heapq.merge(*streams, key=lambda entry: -entry.at_ns):
        if model in (None, entry.model) and version in (None, entry.version):
            yield entry


def known_ids(folder: Path) -> frozenset[str]:
    """The ids of all requests in the log."""
    return frozenset(entry.id for entry in newest_kept(folder))


def _stream(paths: list[Path]) -> Iterator[Kept]:
    """The entries of one worker's segments, newest first."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            # Somebody has let it go meanwhile.
            continue
        try:
            for payload in _payloads(descriptor):
                yield from reversed(list(entries_of(payload)))
        finally:
            os.close(descriptor)


def _payloads(descriptor: int) -> Iterator[bytes]:
    """The whole blocks of a segment, last first.

    They are found from the end; where the segment was torn off, or is damaged, from its begin.
    """
    end = os.fstat(descriptor).st_size
    while end > 0:
        found = _block_before(descriptor, end)
        if found is None:
            yield from reversed(list(_from_begin(descriptor, end)))
            return
        begin, payload = found
        yield payload
        end = begin


def _block_before(descriptor: int, end: int) -> tuple[int, bytes] | None:
    """Where the block that ends here begins, and its payload; None where none ends here."""
    tail = os.pread(descriptor, END_BYTES, end - END_BYTES) if end >= END_BYTES else b""
    size = payload_size_before(tail)
    begin = -1 if size is None else end - END_BYTES - size - BEGIN_BYTES
    if size is None or begin < 0:
        return None
    data = os.pread(descriptor, BEGIN_BYTES + size, begin)
    payload = data[BEGIN_BYTES:]
    return (begin, payload) if is_whole(data, payload) else None


def _from_begin(descriptor: int, end: int) -> Iterator[bytes]:
    """The whole blocks before `end`, first first, as far as each follows the one before."""
    at = 0
    while at < end:
        head = os.pread(descriptor, BEGIN_BYTES, at)
        size = payload_size(head)
        if size is None or at + BEGIN_BYTES + size + END_BYTES > end:
            return
        payload = os.pread(descriptor, size, at + BEGIN_BYTES)
        if is_whole(head, payload):
            yield payload
        at += BEGIN_BYTES + size + END_BYTES
