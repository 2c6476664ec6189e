"""The pyramid beside a stage's step logs: what nobody should read millions of points for again.

`steps.pyramid`, little endian, is written when a stage has ended and logged much:

- 32 bytes: the magic, the version, the CRC-32 of the directory, and its length in bytes;
- the directory, a JSON object in UTF-8 in the shape of `Directory` (NaN and Infinity as JavaScript
  spells them), and zeros up to the next multiple of 8: there the levels begin;
- the levels. The first of a metric sums up each 64 points, in order of step and time, each further
  one eight blocks of the one before. A level holds four arrays of 64-bit numbers one after the
  other: the blocks' first steps (integers), their lowest, highest and mean values (floats, of the
  finite values alone, NaN where there are none). `places` is one more array of integers: which
  record of the metric's one step log each block of the first level begins with.

It stands for the logs only as long as these have no more than what `logs` says was read of each;
where it doesn't, or is damaged, the logs are read, and it may be made anew.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.domain.curves import Summary
from mlbench.domain.plain import from_plain
from mlbench.domain.records import dataclass
from mlbench.inside.steplog import (
    FREE,
    KIND_OFFSET,
    LINES_SUFFIX,
    PREFIX,
    RECORDS_SUFFIX,
)

PYRAMID_NAME = "steps.pyramid"
MAGIC = b"mlbench pyramid\n"
VERSION = 1
HEADER = struct.Struct("<16sIIQ")
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Part:
    """Some arrays in the file: where they begin after the directory, how many entries each has."""

    at: int
    entries: int
    crc: int


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its summary, its levels, and where the first level's blocks begin.

    `log` is the one log that it came from in order, `name_id` its name there; empty and -1 where
    it was otherwise, and then there are no places.
    """

    name: str
    summary: Summary
    levels: tuple[Part, ...]
    log: str = ""
    name_id: int = -1
    places: Part | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """What the file holds: how many bytes of each step log it stands for, and of levels it has."""

    logs: Mapping[str, int]
    metrics: tuple[Metric, ...]
    size: int


def read_directory(stage_folder: Path) -> Directory | None:
    """What a stage's pyramid holds; None where there is none, or it is damaged."""
    try:
        with (stage_folder / PYRAMID_NAME).open("rb") as file:
            magic, version, crc, length = HEADER.unpack(file.read(HEADER.size))
            if (magic, version) != (MAGIC, VERSION):
                return None
            size = os.fstat(file.fileno()).st_size
            text = file.read(min(length, size))
    except (OSError, struct.error):
        return None
    if len(text) != length or zlib.crc32(text) != crc:
        return None
    plain: Any = json.loads(text)
    directory = from_plain(Directory, plain)
    return directory if levels_start(length) + directory.size == size else None


def levels_start(directory_length: int) -> int:
    """Where in the file the levels begin."""
    end = HEADER.size + directory_length
    return -(-end // _ALIGNMENT) * _ALIGNMENT


def is_current(stage_folder: Path, directory: Directory) -> bool:
    """Whether the stage's logs still hold what the pyramid was made from, and nothing more."""
    try:
        if not directory.logs.keys() >= set(log_names(stage_folder)):
            return False
        return all(_ends_at(stage_folder / name, end) for name, end in directory.logs.items())
    except OSError:
        return False


def _ends_at(log: Path, end: int) -> bool:
    """Whether nothing was added to a log after so many bytes."""
    with log.open("rb") as file:
        if os.fstat(file.fileno()).st_size < end:
            return False
        file.seek(end)
        if log.name.endswith(RECORDS_SUFFIX):
            file.seek(KIND_OFFSET, os.SEEK_CUR)
            return file.read(1) in (b"", bytes([FREE]))
        return b"\n" not in file.read()


def log_names(stage_folder: Path) -> list[str]:
    """The files of a stage's folder that hold points, in the order of their names."""
    try:
        names = os.listdir(stage_folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        name
        for name in names
        if name.startswith(PREFIX) and name.endswith((RECORDS_SUFFIX, LINES_SUFFIX))
    )
