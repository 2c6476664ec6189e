"""Reads the step logs of a stage's folder while they are written, only what is new each time."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlbench.inside.steplog import (
    FREE,
    KIND_OFFSET,
    LINES_SUFFIX,
    NAMES_SUFFIX,
    POINT,
    PREFIX,
    RECORD,
    RECORDS_SUFFIX,
)

_BLOCK = RECORD.size * 4096

_NO_EXTREME = (math.inf, math.inf)

Point = tuple[str, int, float, float]
"""Name, step, value, wall time in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric over its steps, sorted by step and then by time; never empty.

    `min` and `max` leave NaN out (both are NaN where there is nothing else); their steps are the
    first at which they stand.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]
    min: float
    min_step: int
    max: float
    max_step: int

    @property
    def last(self) -> float:
        """The value of the highest step, and of these the latest; it may be NaN."""
        return self.values[-1]


class StepReader:
    """Follows all the step logs of one stage's folder, of whichever process and language."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; it may come into being later."""
        self._folder = folder
        self._logs: dict[str, _Log] = {}
        self._gathered: dict[str, _Gathered] = {}

    def read(self) -> dict[str, Series]:
        """Each metric's series as of now, in the order in which the names were first seen."""
        for log in self._all_logs():
            for name, step, value, at in log.new_points():
                gathered = self._gathered.get(name)
                if gathered is None:
                    gathered = self._gathered[name] = _Gathered()
                gathered.add(step, value, at)
        return {name: gathered.series() for name, gathered in self._gathered.items()}

    def _all_logs(self) -> list[_Log]:
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._folder)):
                if name.startswith(PREFIX) and name not in self._logs:
                    if name.endswith(RECORDS_SUFFIX):
                        self._logs[name] = _RecordLog(self._folder / name)
                    elif name.endswith(LINES_SUFFIX):
                        self._logs[name] = _LineLog(self._folder / name)
        return list(self._logs.values())


def last_values(folder: Path) -> dict[str, float]:
    """The last value of each metric in a stage's folder: highest step, then latest time."""
    return {name: series.last for name, series in StepReader(folder).read().items()}


class _Log(Protocol):
    """One file of points."""

    def new_points(self) -> Iterator[Point]:
        """The points that came since the last time."""
        ...


class _RecordLog:
    """The records that one process writes, and the names beside them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0
        self._names = _Lines(path.with_suffix(NAMES_SUFFIX))
        self._name_of: list[str] = []

    def new_points(self) -> Iterator[Point]:
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb", buffering=0) as file:
            # No further than it reaches now, or a busy writer would keep its reader for ever.
            size = os.fstat(file.fileno()).st_size
            while block := self._whole_records(file.fileno(), size):
                for kind, name_id, step, value, at in RECORD.iter_unpack(block):
                    if name_id >= len(self._name_of):
                        self._name_of += [line.decode() for line in self._names.new()]
                        if name_id >= len(self._name_of):
                            return  # seen before its name, as on a network file system: later
                    self._read_to += RECORD.size
                    if kind == POINT:
                        yield self._name_of[name_id], step, value, at

    def _whole_records(self, descriptor: int, size: int) -> bytes:
        """The next records whose kind is set, before this size.

        Two looks, for within one the kind might be read after a body that is only being written.
        """
        length = min(_BLOCK, size - self._read_to)
        kinds = os.pread(descriptor, max(length, 0), self._read_to)[KIND_OFFSET :: RECORD.size]
        free = kinds.find(FREE)
        count = len(kinds) if free < 0 else free
        block = os.pread(descriptor, count * RECORD.size, self._read_to)
        return block[: len(block) // RECORD.size * RECORD.size]


class _LineLog:
    """JSON lines from another language; a line that is no point is passed over."""

    def __init__(self, path: Path) -> None:
        self._lines = _Lines(path)

    def new_points(self) -> Iterator[Point]:
        for line in self._lines.new():
            point = _parsed(line)
            if point is not None:
                yield point


class _Lines:
    """A file of lines that grows; what follows the last newline is still being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    def new(self) -> list[bytes]:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._read_to)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._read_to += len(whole)
        return whole.split(b"\n")[:-1]


class _Gathered:
    """The points of one metric so far, sorted when they are asked for."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._values: list[float] = []
        self._times: list[float] = []
        self._newest = (-math.inf, -math.inf)
        self._is_sorted = True
        self._lowest = self._highest = _NO_EXTREME
        self._series: Series | None = None

    def add(self, step: int, value: float, at: float) -> None:
        if (step, at) < self._newest:
            self._is_sorted = False
        else:
            self._newest = (step, at)
        self._steps.append(step)
        self._values.append(value)
        self._times.append(at)
        # Of equal values the first step wins, and NaN is less than none.
        self._lowest = min(self._lowest, (value, step))
        self._highest = min(self._highest, (-value, step))
        self._series = None

    def series(self) -> Series:
        if not self._is_sorted:
            self._sort()
        if self._series is None:
            low, low_step = self._extreme(self._lowest)
            minus_high, high_step = self._extreme(self._highest)
            self._series = Series(
                tuple(self._steps), tuple(self._values), low, low_step, -minus_high, high_step
            )
        return self._series

    def _extreme(self, found: tuple[float, float]) -> tuple[float, int]:
        if found == _NO_EXTREME:
            return math.nan, self._steps[0]
        return found[0], int(found[1])

    def _sort(self) -> None:
        rows = sorted(zip(self._steps, self._times, self._values, strict=True), key=_step_and_time)
        self._steps = [step for step, _, _ in rows]
        self._times = [at for _, at, _ in rows]
        self._values = [value for _, _, value in rows]
        self._is_sorted = True


def _step_and_time(row: tuple[int, float, float]) -> tuple[int, float]:
    return row[:2]


def _parsed(line: bytes) -> Point | None:
    """The point in a JSON line; None where it is none."""
    try:
        fields = json.loads(line)
        name, step, value, at = fields["name"], fields["step"], fields["value"], fields["at"]
        point = name, step, float(value), float(at)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    is_point = isinstance(name, str) and isinstance(step, int) and math.isfinite(point[3])
    return point if is_point else None
