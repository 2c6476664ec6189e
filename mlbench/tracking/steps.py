"""Reads the step logs of a stage's folder while they are written, only what is new each time."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlbench.inside.steplog import (
    FREE,
    KIND_OFFSET,
    LINES_SUFFIX,
    NAMES_SUFFIX,
    POINT,
    RECORD,
)
from mlbench.tracking.columns import Ints
from mlbench.tracking.growing import Chunk, Growing
from mlbench.tracking.pyramid_file import log_names

Records = npt.NDArray[np.void]

RECORD_TYPE = np.dtype(
    {
        "names": ["step", "value", "at", "name", "kind"],
        "formats": ["<i8", "<f8", "<f8", "<u4", "u1"],
        "offsets": [0, 8, 16, 24, KIND_OFFSET],
        "itemsize": RECORD.size,
    }
)
"""A record of a step log, as `inside/steplog.py` describes it."""

_BLOCK = 2**20
_BLOCK_NEAR_THE_END = 2**16
_MOST_LINES = 50_000
_LARGEST_STEP = 2**63

Point = tuple[str, int, float, float]
"""Name, step, value, wall time in seconds since the epoch."""


class StepReader:
    """Follows all the step logs of one stage's folder, of whichever process and language."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; it may come into being later."""
        self._folder = folder
        self._logs: dict[str, Log] = {}
        self._gathered: dict[str, Growing] = {}

    def gather(self) -> Mapping[str, Growing]:
        """Each metric's points as of now, in the order in which the names were first seen.

        Later calls add to the same objects.
        """
        for _, chunk in self.new_chunks():
            growing = self._gathered.get(chunk.name)
            if growing is None:
                growing = self._gathered[chunk.name] = Growing()
            growing.add(chunk)
        return self._gathered

    def new_chunks(self) -> Iterator[tuple[str, Chunk]]:
        """What came since the last look, whoever had it, with the name of the log that has it.

        Within a log points come in its own order.
        """
        for name, log in self._all_logs():
            for chunk in log.new_chunks():
                yield name, chunk

    @property
    def gathered(self) -> Mapping[str, Growing]:
        """What was gathered last."""
        return self._gathered

    @property
    def logs(self) -> Mapping[str, Log]:
        """The logs read so far, by the names of their files."""
        return self._logs

    def _all_logs(self) -> list[tuple[str, Log]]:
        for name in log_names(self._folder):
            if name not in self._logs:
                path = self._folder / name
                is_lines = name.endswith(LINES_SUFFIX)
                self._logs[name] = _LineLog(path) if is_lines else _RecordLog(path)
        return list(self._logs.items())


class Log(Protocol):
    """One file of points."""

    @property
    def read_to(self) -> int:
        """How many bytes of it have been taken in."""
        ...

    def new_chunks(self) -> Iterator[Chunk]:
        """The points that came since the last time, some of one metric at a time."""
        ...

    def names(self) -> list[str]:
        """The names by their ids; none where points carry their names themselves."""
        ...


class _RecordLog:
    """The records that one process writes, and the names beside them."""

    def __init__(self, path: Path) -> None:
        self.read_to = 0
        self._path = path
        self._names = _Lines(path.with_suffix(NAMES_SUFFIX))
        self._name_of: list[str] = []

    def names(self) -> list[str]:
        return self._name_of

    def new_chunks(self) -> Iterator[Chunk]:
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb", buffering=0) as file:
            # No further than it reaches now, or a busy writer would keep its reader for ever.
            size = os.fstat(file.fileno()).st_size
            while len(records := self._whole_records(file.fileno(), size)):
                known = self._known(records)
                start = self.read_to // RECORD.size
                self.read_to += known * RECORD.size
                yield from self._by_name(records[:known], start)
                if known < len(records):
                    return  # seen before its name, as on a network file system: later

    def _known(self, records: Records) -> int:
        """How many of the records come before the first whose name isn't there yet."""
        is_point = records["kind"] == POINT
        if int(records["name"].max(where=is_point, initial=0)) >= len(self._name_of):
            self._name_of += [line.decode() for line in self._names.new()]
        unknown = np.flatnonzero(is_point & (records["name"] >= len(self._name_of)))
        return int(unknown[0]) if unknown.size else len(records)

    def _by_name(self, records: Records, start: int) -> Iterator[Chunk]:
        points = np.flatnonzero(records["kind"] == POINT)
        if len(points) < len(records):
            records = records[points]
        ids = records["name"]
        places = points + start
        if not len(ids):
            return
        if ids[0] == ids[-1] and (ids == ids[0]).all():
            yield self._chunk(int(ids[0]), records, places)
            return
        # Stable, so that each name's points stay in the order in which they were logged.
        order = np.argsort(ids, kind="stable")
        ends = np.flatnonzero(np.diff(ids[order])) + 1
        for part in np.split(order, ends):
            yield self._chunk(int(ids[part[0]]), records[part], places[part])

    def _chunk(self, name_id: int, records: Records, places: Ints) -> Chunk:
        columns = records["step"], records["value"], records["at"]
        return Chunk(self._name_of[name_id], *columns, log=self._path.name, places=places)

    def _whole_records(self, descriptor: int, size: int) -> Records:
        """The next records whose kind is set, before this size.

        Two looks near the end, for within one the kind might be read after a body that is only
        being written; before a record whose kind was set all are whole.
        """
        length = min(_BLOCK, size - self.read_to) // RECORD.size * RECORD.size
        if length <= 0:
            return np.empty(0, RECORD_TYPE)
        last_kind = self.read_to + length - RECORD.size + KIND_OFFSET
        if os.pread(descriptor, 1, last_kind) in (b"", bytes([FREE])):
            length = min(length, _BLOCK_NEAR_THE_END)
            seen = _records(os.pread(descriptor, length, self.read_to))
            free = np.flatnonzero(seen["kind"] == FREE)
            length = RECORD.size * (int(free[0]) if free.size else len(seen))
        return _records(os.pread(descriptor, length, self.read_to))


class _LineLog:
    """JSON lines from another language; a line that is no point is passed over."""

    def __init__(self, path: Path) -> None:
        self._lines = _Lines(path)

    @property
    def read_to(self) -> int:
        return self._lines.read_to

    def names(self) -> list[str]:
        return []

    def new_chunks(self) -> Iterator[Chunk]:
        lines = self._lines.new()
        for start in range(0, len(lines), _MOST_LINES):
            by_name: dict[str, list[Point]] = {}
            for line in lines[start : start + _MOST_LINES]:
                point = _parsed(line)
                if point is not None:
                    by_name.setdefault(point[0], []).append(point)
            for name, points in by_name.items():
                _, steps, values, times = zip(*points, strict=True)
                yield Chunk(
                    name, np.array(steps, np.int64), np.array(values), np.array(times, np.float64)
                )


class _Lines:
    """A file of lines that grows; what follows the last newline is still being written."""

    def __init__(self, path: Path) -> None:
        self.read_to = 0
        self._path = path

    def new(self) -> list[bytes]:
        try:
            with open(self._path, "rb") as file:
                file.seek(self.read_to)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.read_to += len(whole)
        return whole.split(b"\n")[:-1]


def _records(data: bytes) -> Records:
    return np.frombuffer(data, RECORD_TYPE, len(data) // RECORD.size)


def _parsed(line: bytes) -> Point | None:
    """The point in a JSON line; None where it is none."""
    try:
        fields = json.loads(line)
        name, step, value, at = fields["name"], fields["step"], fields["value"], fields["at"]
        point = name, step, float(value), float(at)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    is_point = isinstance(name, str) and isinstance(step, int) and math.isfinite(point[3])
    return point if is_point and -_LARGEST_STEP <= step < _LARGEST_STEP else None
