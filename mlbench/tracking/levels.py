"""The pyramid's levels: written from the points of a stage, read a window at a time."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlbench.domain.plain import to_plain
from mlbench.inside.steplog import POINT, RECORD
from mlbench.system.files import write_atomically
from mlbench.tracking.columns import Floats, Ints, Stretches, single_points, summed_up
from mlbench.tracking.growing import BLOCKS_A_COLUMN, Growing
from mlbench.tracking.pyramid_file import (
    HEADER,
    MAGIC,
    PYRAMID_NAME,
    VERSION,
    Directory,
    Metric,
    Part,
    levels_start,
)
from mlbench.tracking.steps import RECORD_TYPE, StepReader

FACTOR = 8
"""How many blocks of one level the next one sums up."""

_FEWEST_BLOCKS = 512
_MOST_RECORDS = 4_000_000


class DamagedPyramidError(Exception):
    """A part of the file is not what was written."""


def write_pyramid(stage_folder: Path, reader: StepReader) -> None:
    """Sum up what the reader has gathered, and write it as a whole; OSError from the disk."""
    body = bytearray()
    metrics = tuple(
        _metric(name, growing, reader, body) for name, growing in reader.gathered.items()
    )
    logs = {name: log.read_to for name, log in reader.logs.items()}
    plain = to_plain(Directory(logs, metrics, len(body)))
    text = json.dumps(plain, ensure_ascii=False).encode("utf-8", "surrogatepass")
    header = HEADER.pack(MAGIC, VERSION, zlib.crc32(text), len(text))
    padding = bytes(levels_start(len(text)) - HEADER.size - len(text))
    write_atomically(stage_folder / PYRAMID_NAME, b"".join((header, text, padding, body)))


class Levels:
    """Reads the levels of one pyramid; what was read of the file is kept."""

    def __init__(self, stage_folder: Path, directory: Directory) -> None:
        """Read from the pyramid of this folder, whose directory this is."""
        self._folder = stage_folder
        self._metrics = {metric.name: metric for metric in directory.metrics}
        self._ends = {name: end // RECORD.size for name, end in directory.logs.items()}
        self._known: dict[Part, npt.NDArray[np.uint8]] = {}

    def window(self, name: str, first_step: int, last_step: int, width: int) -> Stretches | None:
        """Stretches of a window, some of them for each of `width` columns.

        None where single points are wanted that only the logs in whole can give; OSError and
        DamagedPyramidError where the file doesn't give what it should.
        """
        metric = self._metrics[name]
        for part in reversed(metric.levels):
            level = self._level(part)
            within = level.within(first_step, last_step)
            if within.stop - within.start >= BLOCKS_A_COLUMN * width:
                return level.part(within.start, within.stop)
        single = self._single(metric, within, first_step, last_step)
        if single is None and within.stop - within.start >= width:
            return level.part(within.start, within.stop)
        return single

    def _single(
        self, metric: Metric, blocks: slice, first_step: int, last_step: int
    ) -> Stretches | None:
        """The points of some blocks of the first level, from the one log that they came from."""
        if metric.places is None:
            return None
        places = self._array(metric.places, 1).view("<i8")
        start = int(places[min(blocks.start, len(places) - 1)])
        stop = int(places[blocks.stop]) if blocks.stop < len(places) else self._ends[metric.log]
        if stop - start > _MOST_RECORDS:
            return None
        records = np.fromfile(
            self._folder / metric.log, RECORD_TYPE, stop - start, offset=start * RECORD.size
        )
        records = records[(records["kind"] == POINT) & (records["name"] == metric.name_id)]
        steps, values = records["step"], records["value"]
        inside = (steps >= first_step) & (steps <= last_step)
        return single_points(steps[inside], values[inside])

    def _level(self, part: Part) -> Stretches:
        data = self._array(part, 4)
        numbers = data.view("<i8").reshape(4, part.entries)
        floats = data.view("<f8").reshape(4, part.entries)
        return Stretches(numbers[0], floats[1], floats[2], floats[3])

    def _array(self, part: Part, columns: int) -> npt.NDArray[np.uint8]:
        known = self._known.get(part)
        if known is None:
            with (self._folder / PYRAMID_NAME).open("rb") as file:
                length = HEADER.unpack(file.read(HEADER.size))[3]
                size = columns * 8 * part.entries
                data = os.pread(file.fileno(), size, levels_start(length) + part.at)
            if len(data) != size or zlib.crc32(data) != part.crc:
                raise DamagedPyramidError(f"{self._folder / PYRAMID_NAME}: checksums differ")
            known = self._known[part] = np.frombuffer(data, np.uint8)
        return known


def _metric(name: str, growing: Growing, reader: StepReader, body: bytearray) -> Metric:
    levels: list[Part] = []
    blocks = growing.blocks()
    levels.append(_added(body, blocks.firsts, blocks.lows, blocks.highs, blocks.means))
    while len(blocks) > _FEWEST_BLOCKS:
        blocks = summed_up(blocks, FACTOR)
        levels.append(_added(body, blocks.firsts, blocks.lows, blocks.highs, blocks.means))
    summary, places = growing.summary(), growing.block_places()
    names = reader.logs[growing.log].names() if growing.log is not None else []
    if growing.log is None or places is None or names.count(name) != 1:
        return Metric(name, summary, tuple(levels))
    name_id = names.index(name)
    return Metric(name, summary, tuple(levels), growing.log, name_id, _added(body, places))


def _added(body: bytearray, *arrays: Ints | Floats) -> Part:
    start = len(body)
    for array in arrays:
        body += array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return Part(start, len(arrays[0]), zlib.crc32(memoryview(body)[start:]))
