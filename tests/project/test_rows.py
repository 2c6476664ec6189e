"""Rows from every format, and one sentence for a file that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import pytest

from mlbench.domain.errors import UsageError
from mlbench.project.rows import read_table

GOOD: dict[str, tuple[str, tuple[str, ...], list[list[Any]]]] = {
    "bare.csv": ("1,2\n3.5,-4\n", (), [["1", "2"], ["3.5", "-4"]]),
    "head.csv": ("a,b\n1,2\n", ("a", "b"), [["1", "2"]]),
    "mixed.csv": ("1,b\n1,2\n", ("1", "b"), [["1", "2"]]),
    "gaps.csv": ("a,b\n\n1,\n,2\n\n", ("a", "b"), [["1", None], [None, "2"]]),
    "quoted.csv": ('a,b\n"x, y","z\nw"\n', ("a", "b"), [["x, y", "z\nw"]]),
    "mark.csv": ("\ufeffa,b\n1,2\n", ("a", "b"), [["1", "2"]]),
    "rows.json": ("[[1, 2], [3.5, -4]]", (), [[1, 2], [3.5, -4]]),
    "row.json": ("[1, 2]", (), [[1, 2]]),
    "nested.json": ("[[[1], [2]]]", (), [[[1], [2]]]),
    "record.json": ('{"a": 1, "b": "x"}', ("a", "b"), [[1, "x"]]),
    "records.json": ('[{"a": 1}, {"b": 2, "a": 3}]', ("a", "b"), [[1, None], [3, 2]]),
}


@pytest.mark.parametrize("name", GOOD)
def test_rows_are_read(tmp_path: Path, name: str) -> None:
    text, names, rows = GOOD[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_table(tmp_path / name)
    assert (table.names, list(table.rows)) == (names, rows)


def test_an_npz_gives_x_or_its_only_array_or_columns(tmp_path: Path) -> None:
    rows = [[1.0, 2.0], [3.5, -4.0]]
    numpy.savez(tmp_path / "x.npz", y=numpy.array([1, 2]), X=numpy.array(rows))
    numpy.savez(tmp_path / "only.npz", first=numpy.array(rows))
    numpy.savez(tmp_path / "columns.npz", a=numpy.array([1, 2]), b=numpy.array(["x", "y"]))
    for name in ("x.npz", "only.npz"):
        table = read_table(tmp_path / name)
        assert (table.names, table.rows) == ((), rows)
    table = read_table(tmp_path / "columns.npz")
    assert (table.names, list(table.rows)) == (("a", "b"), [[1, "x"], [2, "y"]])


def test_parquet_is_read_with_what_is_missing(tmp_path: Path) -> None:
    columns = {"a": [1, None], "b": ["x", "y"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert (table.names, list(table.rows)) == (("a", "b"), [[1, "x"], [None, "y"]])


BAD: dict[str, tuple[bytes, str]] = {
    "rows.txt": (b"1", "is neither .csv, .json, .npz nor .parquet"),
    "missing.csv": (b"", "can't be read as rows: No such file"),
    "empty.csv": (b"", "has no rows"),
    "head.csv": (b"a,b\n", "has no rows"),
    "short.csv": (b"a,b\n1,2\n1\n", "can't be read as rows: line 3 has 1 values, not 2"),
    "twice.csv": (b"a,b,a\n1,2,3\n", 'has the column "a" twice'),
    "latin.csv": (b"\xff\xfe1,2\n", "can't be read as rows"),
    "torn.json": (b"[[1, 2]", "can't be read as rows"),
    "none.json": (b"[]", "has no rows"),
    "mixed.json": (b"[[1, 2], 3]", "can't be read as rows: some rows are lists"),
    "both.json": (b'[{"a": 1}, [3]]', "can't be read as rows: some rows are lists"),
    "number.json": (b"3", "can't be read as rows: it is no list of rows"),
    "torn.npz": (b"PK\x03\x04torn", "can't be read as rows"),
    "empty.npz": (b"", "can't be read as rows"),
    "pickle.npz": (b"\x80\x04K\x01.", "can't be read as rows"),
    "torn.parquet": (b"PAR1", "can't be read as rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_rows_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    data, message = BAD[name]
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_table(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: {message}")


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"X": numpy.array([1.0, 2.0])},
        {"a": numpy.zeros((2, 1)), "b": numpy.zeros((3, 1))},
        {"X": numpy.array([["x", None]], dtype=object)},
    ],
)
def test_an_npz_that_holds_no_rows_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    numpy.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError, match="can't be read as rows"):
        read_table(tmp_path / "a.npz")
