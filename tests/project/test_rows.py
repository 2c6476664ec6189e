"""Rows of numbers from every format, and one sentence for a file that has none."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from mlbench.domain.errors import UsageError
from mlbench.project.rows import held_out_row, read_rows

GOOD = {
    "bare.csv": "1,2\n3.5,-4\n",
    "head.csv": "a,b\n1,2\n3.5,-4\n",
    "truth.csv": "a,label,b\n1,cat,2\n3.5,dog,-4\n",
    "gaps.csv": "a,b\n\n1,2\n3.5,-4\n\n",
    "rows.json": "[[1, 2], [3.5, -4]]",
}
ROWS = [[1.0, 2.0], [3.5, -4.0]]


@pytest.mark.parametrize("name", GOOD)
def test_rows_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(GOOD[name])
    assert read_rows(tmp_path / name, 2, "label") == ROWS


def test_one_row_of_json_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "row.json").write_text("[1, 2]")
    assert read_rows(tmp_path / "row.json", 2) == [[1.0, 2.0]]


def test_an_npz_gives_x_or_its_first_array(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "a.npz", y=numpy.array([1]), X=numpy.array(ROWS, dtype="f4"))
    numpy.savez(tmp_path / "b.npz", first=numpy.array(ROWS))
    assert read_rows(tmp_path / "a.npz", 2) == ROWS
    assert read_rows(tmp_path / "b.npz", 2) == ROWS


BAD: dict[str, tuple[bytes, str]] = {
    "rows.txt": (b"1", "is neither .csv, .json nor .npz"),
    "missing.csv": (b"", "can't be read as rows of numbers"),
    "words.csv": (b"a,b\n1,x\n", "can't be read as rows of numbers: could not convert"),
    "short.csv": (b"a,label,b\n1,2\n", "can't be read as rows of numbers"),
    "blank.csv": (b"\n1,2\n3\n", "row 2 has 1 values, the model takes 2"),
    "latin.csv": (b"\xff\xfe1,2\n", "can't be read as rows of numbers"),
    "wide.csv": (b"1,2,3\n", "row 1 has 3 values, the model takes 2"),
    "null.csv": (b"1,2\n3,\x004\n", "can't be read as rows of numbers"),
    "torn.json": (b"[[1, 2]", "can't be read as rows of numbers"),
    "object.json": (b'{"rows": [[1, 2]]}', "can't be read as rows of numbers"),
    "mixed.json": (b"[[1, 2], 3]", "can't be read as rows of numbers"),
    "number.json": (b"3", "can't be read as rows of numbers"),
    "torn.npz": (b"PK\x03\x04torn", "can't be read as rows of numbers"),
    "empty.npz": (b"", "can't be read as rows of numbers"),
    "pickle.npz": (b"\x80\x04K\x01.", "can't be read as rows of numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_rows_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    data, message = BAD[name]
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_rows(tmp_path / name, 2, "label")
    assert str(caught.value).startswith(f"{tmp_path / name}: {message}")


def test_an_npz_without_arrays_and_one_that_is_no_table_are_refused(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "none.npz")
    numpy.savez(tmp_path / "flat.npz", X=numpy.array([1.0, 2.0]))
    for name in ("none.npz", "flat.npz"):
        with pytest.raises(UsageError, match="can't be read as rows of numbers"):
            read_rows(tmp_path / name, 2)


def test_a_held_out_row_has_answer_and_truth_where_they_are_known(tmp_path: Path) -> None:
    path = tmp_path / "answers.npz"
    numpy.savez(path, X=numpy.array(ROWS), label=numpy.array([3, 4]), y=numpy.array(["3", "5"]))
    row = held_out_row(path, 1)
    assert (row.index, row.values, row.answer, row.truth) == (1, [3.5, -4.0], "4", "5")
    for index in (-1, 2):
        with pytest.raises(UsageError, match=f"no held-out row {index}; there are 2, from 0"):
            held_out_row(path, index)
    numpy.savez(path, X=numpy.array(ROWS))
    assert held_out_row(path, 0).truth is None
