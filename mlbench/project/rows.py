"""Rows of a user's file, whatever format it has: their values as written, by column if named."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values: numbers, texts, truths, None where missing, or nested lists of numbers.

    `names` are the columns', empty where the file names none.
    """

    path: Path
    names: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


def read_table(path: Path) -> Table:
    """The rows of a .csv, .json, .npz or .parquet file; UsageError where it can't be read."""
    from zipfile import BadZipFile

    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: is neither .csv, .json, .npz nor .parquet")
    try:
        names, rows = reader(path)
    except OSError as error:
        raise UsageError(f"{path}: can't be read as rows: {error.strerror or error}") from None
    except (EOFError, ValueError, TypeError, LookupError, csv.Error, BadZipFile) as error:
        raise UsageError(f"{path}: can't be read as rows: {error}") from None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f'{path}: has the column "{twice}" twice')
    if not rows:
        raise UsageError(f"{path}: has no rows")
    return Table(path, tuple(names), rows)


_Read = tuple[Sequence[str], Sequence[Sequence[Any]]]


def _read_csv(path: Path) -> _Read:
    """A first line with anything that is no number names the columns; an empty cell is missing."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        lines = [(reader.line_num, row) for row in reader if row]
    if not lines:
        return (), []
    width = len(lines[0][1])
    for line, row in lines:
        if len(row) != width:
            raise ValueError(f"line {line} has {len(row)} values, not {width}")
    table = [row for _, row in lines]
    has_names = not all(_is_number(text) for text in table[0])
    names = table.pop(0) if has_names else []
    return names, [[None if text == "" else text for text in row] for row in table]


def _read_json(path: Path) -> _Read:
    """A list of rows or of objects; a single row or object is one, too."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise ValueError("it is no list of rows")
    if value and not isinstance(value[0], list | dict):
        value = [value]
    if any(type(row) is not type(value[0]) for row in value):
        raise ValueError("some rows are lists, others are not")
    if value and isinstance(value[0], dict):
        return _records(value)
    return (), value


def _records(objects: Sequence[Mapping[str, Any]]) -> _Read:
    """Objects as rows; what one of them lacks is missing."""
    names = list(dict.fromkeys(name for one in objects for name in one))
    return names, [[one.get(name) for name in names] for one in objects]


def _read_npz(path: Path) -> _Read:
    """The array X; without it each array is a column, and one alone is all the rows."""
    import numpy

    with path.open("rb") as file, numpy.load(file, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}
    if not arrays:
        raise ValueError("it has no arrays")
    alone = arrays.get("X", next(iter(arrays.values())) if len(arrays) == 1 else None)
    if alone is not None:
        if alone.ndim < 2:
            raise ValueError(f"its array has {alone.ndim} dimensions, not rows and columns")
        return (), alone.tolist()
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError("its arrays have unlike numbers of rows")
    columns = [array.tolist() for array in arrays.values()]
    return list(arrays), [list(row) for row in zip(*columns, strict=True)]


def _read_parquet(path: Path) -> _Read:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(f'{path}: Parquet needs pyarrow: pip install "mlbench[parquet]"')
    parquet = importlib.import_module("pyarrow.parquet")
    # One file, not a data set that the folders around it might make of it.
    with path.open("rb") as file:
        table = parquet.ParquetFile(file).read()
    columns = [column.to_pylist() for column in table.columns]
    return table.column_names, [list(row) for row in zip(*columns, strict=True)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_READERS: dict[str, Callable[[Path], _Read]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
}
