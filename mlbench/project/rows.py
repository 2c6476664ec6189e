"""Rows of numbers for a model: held-out ones of a version, or those of a user's file."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class HeldOutRow:
    """One held-out row with what the original model answered on it, and the truth if known."""

    index: int
    values: list[float]
    answer: str | None
    truth: str | None


def read_rows(path: Path, width: int, ignored: str | None = None) -> list[list[float]]:
    """The rows of a CSV, JSON or npz file; a CSV's column `ignored` (the truth) is left out.

    UsageError where the file can't be read or a row has not `width` numbers.
    """
    from zipfile import BadZipFile

    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: is neither .csv, .json nor .npz")
    try:
        rows = reader(path, ignored)
    except (OSError, EOFError, ValueError, TypeError, LookupError, csv.Error, BadZipFile) as error:
        raise UsageError(f"{path}: can't be read as rows of numbers: {error}") from None
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise UsageError(f"{path}: row {number} has {len(row)} values, the model takes {width}")
    return rows


def held_out_row(answers: Path, index: int) -> HeldOutRow:
    """Row `index` of a version's held-out rows; UsageError where there are fewer."""
    import numpy

    with numpy.load(answers, allow_pickle=False) as saved:
        count = len(saved["X"])
        if not 0 <= index < count:
            raise UsageError(f"there is no held-out row {index}; there are {count}, from 0")
        return HeldOutRow(
            index,
            [float(value) for value in saved["X"][index]],
            str(saved["label"][index]) if "label" in saved else None,
            str(saved["y"][index]) if "y" in saved else None,
        )


def _read_csv(path: Path, ignored: str | None) -> list[list[float]]:
    with path.open(newline="", encoding="utf-8") as file:
        table = [row for row in csv.reader(file) if row]
    if table and not _is_number(table[0][0]):
        header = table.pop(0)
        kept = [position for position, name in enumerate(header) if name != ignored]
        table = [[row[position] for position in kept] for row in table]
    return [[float(value) for value in row] for row in table]


def _read_json(path: Path, _ignored: str | None) -> list[list[float]]:
    value = json.loads(path.read_text(encoding="utf-8"))
    rows = value if value and isinstance(value[0], list) else [value]
    return [[float(item) for item in row] for row in rows]


def _read_npz(path: Path, _ignored: str | None) -> list[list[float]]:
    import numpy

    with path.open("rb") as file, numpy.load(file, allow_pickle=False) as saved:
        rows: Any = saved["X"] if "X" in saved else saved[saved.files[0]]
    return [[float(item) for item in row] for row in rows]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_READERS = {".csv": _read_csv, ".json": _read_json, ".npz": _read_npz}
