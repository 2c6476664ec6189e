"""Tables and trees of values compared value by value: .csv, .tsv, .parquet, .json and its like."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import itertools
import json
import math
from pathlib import Path
from typing import Any

from mlbench.domain.errors import ProjectFileError
from mlbench.pipeline.comparing.arrays import array_place
from mlbench.pipeline.comparing.places import NoValuesError, Place, close
from mlbench.project.params import parse_tree

_SHOWN = 80
_ABSENT = object()


def csv_place(expected: Path, found: Path, tolerance: float) -> Place | None:
    """Where two tables differ: the row, counted from 1 with the head, and the column's name."""
    delimiter = "\t" if expected.suffix.lower() == ".tsv" else ","
    try:
        with _text(expected) as left, _text(found) as right:
            rows = itertools.zip_longest(
                csv.reader(left, delimiter=delimiter), csv.reader(right, delimiter=delimiter)
            )
            head: list[str] = []
            for number, (one, other) in enumerate(rows, 1):
                head = head or one or other
                place = _row_place(number, head, one, other, tolerance)
                if place is not None:
                    return place
    except csv.Error as error:
        raise NoValuesError(f"can't be read as a table: {error}") from None
    return None


def _text(path: Path) -> Any:
    return path.open(newline="", encoding="utf-8-sig", errors="surrogateescape")


def _row_place(
    number: int, head: list[str], one: list[str] | None, other: list[str] | None, tolerance: float
) -> Place | None:
    if one is None or other is None:
        shown = ("no such row" if row is None else _short(",".join(row)) for row in (one, other))
        return Place(f"row {number}", *shown)
    if len(one) != len(other):
        return Place(f"row {number}", f"{len(one)} columns", f"{len(other)} columns")
    for at, (a, b) in enumerate(zip(one, other, strict=True)):
        if a != b and not _same_cell(a, b, tolerance):
            column = str(at + 1) if at >= len(head) or _number(head[at]) is not None else head[at]
            return Place(f"row {number}, column {column}", _short(a), _short(b))
    return None


def _same_cell(one: str, other: str, tolerance: float) -> bool:
    """Whole numbers and text count as they are written; with a floating number, values do."""
    a, b = _number(one), _number(other)
    if a is None or b is None:
        return False
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return _close(a, b, tolerance)


def _close(one: float, other: float, tolerance: float) -> bool:
    """As `close`; a number too large for a float is near to nothing that is written otherwise."""
    try:
        a, b = float(one), float(other)
    except OverflowError:
        return False
    return not (math.isinf(a) and math.isinf(b)) and close(a, b, tolerance)


def _number(cell: str) -> float | None:
    for read in (int, float):
        try:
            return read(cell)
        except ValueError:
            continue
    return None


def tree_place(expected: Path, found: Path, tolerance: float) -> Place | None:
    """Where two JSON, YAML or TOML files differ: the path to the value."""
    try:
        one, other = (parse_tree(path.name, path.read_text("utf-8")) for path in (expected, found))
        return _value_place(one, other, tolerance, "")
    except (ProjectFileError, UnicodeDecodeError, RecursionError) as error:
        raise NoValuesError(f"can't be read: {error}") from None


def _value_place(one: Any, other: Any, tolerance: float, path: str) -> Place | None:
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = (
            (one.get(key, _ABSENT), other.get(key, _ABSENT), f"{path}.{key}" if path else str(key))
            for key in dict.fromkeys((*one, *other))
        )
    elif isinstance(one, list) and isinstance(other, list):
        both = itertools.zip_longest(one, other, fillvalue=_ABSENT)
        pairs = ((a, b, f"{path}[{at}]") for at, (a, b) in enumerate(both))
    else:
        same = _same_value(one, other, tolerance)
        return None if same else Place(path or "the value", _shown(one), _shown(other))
    places = (_value_place(a, b, tolerance, inner) for a, b, inner in pairs)
    return next((place for place in places if place is not None), None)


def _same_value(one: Any, other: Any, tolerance: float) -> bool:
    kinds = {type(one), type(other)}
    if float in kinds and kinds <= {int, float}:
        return one == other or _close(one, other, tolerance)
    return len(kinds) == 1 and bool(one == other)


def parquet_place(expected: Path, found: Path, tolerance: float) -> Place | None:
    """Where two Parquet files differ: schema, rows, or the row (from 0) and column.

    NoValuesError where pyarrow is not installed beside mlbench.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise NoValuesError("by its bytes, for mlbench's own environment has no pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    arrow = importlib.import_module("pyarrow")
    try:
        one, other = (parquet.read_table(path) for path in (expected, found))
    except (arrow.ArrowException, OSError) as error:
        raise NoValuesError(f"can't be read: {error}") from None
    heads = [
        ", ".join(f"{field.name} {field.type}" for field in table.schema) for table in (one, other)
    ]
    if heads[0] != heads[1]:
        return Place("columns", *map(_short, heads))
    if one.num_rows != other.num_rows:
        return Place("rows", str(one.num_rows), str(other.num_rows))
    places = (
        _column_place(one.column(at), other.column(at), field.name, arrow, tolerance)
        for at, field in enumerate(one.schema)
    )
    return next((place for place in places if place is not None), None)


def _column_place(one: Any, other: Any, name: str, arrow: Any, tolerance: float) -> Place | None:
    if one.equals(other):
        return None
    if arrow.types.is_floating(one.type) and not (one.null_count or other.null_count):
        place = array_place(one.to_numpy(), other.to_numpy(), tolerance, "")
        if place is None:
            return None
        return Place(f"row {place.where.strip('[]')}, column {name}", *place[1:])
    for row, (a, b) in enumerate(zip(one.to_pylist(), other.to_pylist(), strict=True)):
        place = _value_place(a, b, tolerance, "")
        if place is not None:
            return Place(f"row {row}, column {name}", _shown(a), _shown(b))
    return None


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "missing"
    try:
        return _short(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        return _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
