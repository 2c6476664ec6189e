"""What counts as the same out, and where two differ, in real files."""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.pipeline.comparing.compare import Difference, differences, same_bytes
from mlbench.pipeline.comparing.places import close

TOLERANCE = 1e-6
Write = Callable[[Path, Any], object]


def compared(
    folder: Path, name: str, write: Write, one: Any, other: Any, tolerance: float = TOLERANCE
) -> tuple[Difference, ...]:
    paths = folder / "expected" / name, folder / "found" / name
    for path, value in zip(paths, (one, other), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, value)
    return differences(*paths, f"build/{name}", tolerance)


def text(path: Path, value: str | bytes) -> None:
    path.write_bytes(value.encode() if isinstance(value, str) else value)


def npz(path: Path, arrays: dict[str, Any]) -> None:
    members: dict[str, Any] = {name: numpy.asarray(array) for name, array in arrays.items()}
    numpy.savez(path, **members)


def npy(path: Path, array: Any) -> None:
    numpy.save(path, numpy.asarray(array))


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([[1.0, NAN], [INF, -0.0]], [[1.0, NAN], [INF, 0.0]]),
        ([1.0, 1e9], [1.0 + 1e-7, 1e9 + 1]),
        # What is left where sums cancel out beside large elements is noise.
        (numpy.array([1.0, 1e-9], "f4"), numpy.array([1.0, 3e-9], "f4")),
        ([1 + 1j], [1 + 1.0000001j]),
        (numpy.array(["NaT", "2026-01-01"], "M8[D]"), numpy.array(["NaT", "2026-01-01"], "M8[D]")),
        (3.5, 3.5 + 1e-9),
        ([], []),
    ],
)
def test_arrays_that_agree(tmp_path: Path, one: Any, other: Any) -> None:
    assert compared(tmp_path, "a.npy", npy, one, other) == ()
    assert compared(tmp_path, "a.npz", npz, {"w": one}, {"w": other}) == ()


@pytest.mark.parametrize(
    ("one", "other", "where", "expected", "found"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.1]], "[1, 1]", "4.0", "4.1"),
        ([1.0, NAN], [1.0, 0.0], "[1]", "nan", "0.0"),
        ([INF], [-INF], "[0]", "inf", "-inf"),
        ([INF], [1e308], "[0]", "inf", "1e+308"),
        ([10_000_000], [10_000_001], "[0]", "10000000", "10000001"),
        ([True], [False], "[0]", "True", "False"),
        (["ab", "cd"], ["ab", "ce"], "[1]", "cd", "ce"),
        (2.0, 3.0, "the value", "2.0", "3.0"),
        ([1.0, 1e-9], [1.0, 3e-9], "[1]", "1e-09", "3e-09"),
        ([1 + 1j], [1 + 2j], "[0]", "(1+1j)", "(1+2j)"),
    ],
)
def test_the_first_element_that_differs(
    tmp_path: Path, one: Any, other: Any, where: str, expected: str, found: str
) -> None:
    assert compared(tmp_path, "a.npy", npy, one, other) == (
        Difference("build/a.npy", where, expected, found),
    )


def test_dtype_and_shape_and_the_parts_of_a_record(tmp_path: Path) -> None:
    a = numpy.zeros((2, 3), "f4")
    (dtype,) = compared(tmp_path, "a.npy", npy, a, a.astype("f8"))
    assert (dtype.where, dtype.expected, dtype.found) == ("dtype", "float32", "float64")
    (shape,) = compared(tmp_path, "a.npy", npy, a, a.T)
    assert (shape.where, shape.expected, shape.found) == ("shape", "(2, 3)", "(3, 2)")
    rows = numpy.array([(1, 0.5), (2, 0.25)], [("id", "i4"), ("score", "f8")])
    near, far = rows.copy(), rows.copy()
    near["score"] *= 1 + 1e-9
    far["score"][1] = 0.75
    assert compared(tmp_path, "a.npy", npy, rows, near) == ()
    (part,) = compared(tmp_path, "a.npy", npy, rows, far)
    assert (part.where, part.expected, part.found) == ("score[1]", "0.25", "0.75")


def test_the_arrays_of_an_npz_by_name(tmp_path: Path) -> None:
    (gone,) = compared(tmp_path, "a.npz", npz, {"w": 1.0, "b": 2.0}, {"w": 1.0})
    assert (gone.where, gone.expected, gone.found) == ("array b", "there", "missing")
    (other,) = compared(tmp_path, "a.npz", npz, {"w": [1.0, 2.0]}, {"w": [1.0, 2.5]})
    assert (other.where, other.expected, other.found) == ("w[1]", "2.0", "2.5")


def test_an_npz_that_was_only_packed_otherwise_is_the_same(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"a": numpy.arange(5.0), "b": numpy.ones(3)}
    numpy.savez(tmp_path / "one.npz", **arrays)
    numpy.savez_compressed(tmp_path / "other.npz", **dict(reversed(arrays.items())))
    pair = tmp_path / "one.npz", tmp_path / "other.npz"
    assert not same_bytes(*pair)
    assert differences(*pair, "a.npz", 0.0) == ()


class Explosive:
    """Whoever unpickles this leaves a file behind."""

    def __init__(self, trap: Path, number: int) -> None:
        self.trap, self.number = trap, number

    def __reduce__(self) -> Any:
        return (open, (str(self.trap), "w"), {"number": self.number})


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    one, other = (
        {"w": 1.0, "o": numpy.array([Explosive(trap, number)], object)} for number in (1, 2)
    )
    (difference,) = compared(tmp_path, "a.npz", npz, one, other)
    assert "array o" in difference.where
    assert "bytes" in difference.where
    (difference,) = compared(tmp_path, "a.npz", npz, one, {**one, "w": 2.0})
    assert (difference.where, difference.found) == ("w", "2.0")
    (difference,) = compared(tmp_path, "a.npy", npy, one["o"], other["o"])
    assert difference.where.startswith("byte ")
    assert "Python objects" in difference.where
    (difference,) = compared(
        tmp_path, "a.joblib", lambda path, value: text(path, pickle.dumps(value)), *("ab")
    )
    assert difference.where.startswith("byte ")
    assert not trap.exists()


def test_a_large_array_is_compared_to_its_end(tmp_path: Path) -> None:
    one = numpy.zeros(3_000_001, "f4")
    other = one.copy()
    other[-1] = 1
    (difference,) = compared(tmp_path, "a.npy", npy, one, other)
    assert difference.where == "[3000000]"


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.json", "a.parquet"])
def test_what_can_not_be_read_is_compared_by_its_bytes(tmp_path: Path, name: str) -> None:
    (difference,) = compared(tmp_path, name, text, b"\x00torn", b"\x00toss")
    assert (difference.expected, difference.found) == ("0x72", "0x73")
    assert difference.where.startswith("byte 3 (")


TABLE = "id,score,label\n1,0.5,cat\n2,0.25,dog\n"


@pytest.mark.parametrize(
    ("other", "where", "expected", "found"),
    [
        (TABLE.replace("0.25", "0.26"), "row 3, column score", "0.25", "0.26"),
        (TABLE.replace("dog", "cow"), "row 3, column label", "dog", "cow"),
        (TABLE.replace("score", "scores"), "row 1, column score", "score", "scores"),
        (TABLE + "3,1,cow\n", "row 4", "no such row", "3,1,cow"),
        ("id,score,label\n1,0.5,cat\n", "row 3", "2,0.25,dog", "no such row"),
        (TABLE.replace("2,0.25,dog", "2,0.25"), "row 3", "3 columns", "2 columns"),
        (TABLE.replace("\n2", "\n3"), "row 3, column id", "2", "3"),
        (TABLE.replace("0.25", ""), "row 3, column score", "0.25", ""),
    ],
)
def test_tables_say_row_and_column(
    tmp_path: Path, other: str, where: str, expected: str, found: str
) -> None:
    assert compared(tmp_path, "a.csv", text, TABLE, other) == (
        Difference("build/a.csv", where, expected, found),
    )
    tabbed = [table.replace(",", "\t") for table in (TABLE, other)]
    (difference,) = compared(tmp_path, "a.tsv", text, tabbed[0], tabbed[1])
    assert difference.where == where


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TABLE, TABLE.replace("\n", "\r\n")),
        (TABLE, TABLE.replace("0.5", "0.50000001")),
        (TABLE, TABLE.replace("cat", '"cat"')),
        (TABLE, TABLE.replace("1,0.5", "1.0,5e-1")),
        (TABLE.replace("0.5", "nan"), TABLE.replace("0.5", "NaN")),
    ],
)
def test_tables_that_agree(tmp_path: Path, one: str, other: str) -> None:
    assert compared(tmp_path, "a.csv", text, one, other) == ()


def test_a_table_without_a_head_numbers_its_columns(tmp_path: Path) -> None:
    (difference,) = compared(tmp_path, "a.csv", text, "1,2\n3,4\n", "1,2\n3,5\n")
    assert difference.where == "row 2, column 2"


METRICS = {"accuracy": 0.9, "counts": [1, 2], "by": {"cat": 0.5}, "name": "x", "ok": True}


@pytest.mark.parametrize(
    ("change", "where", "expected", "found"),
    [
        ({"accuracy": 0.91}, "accuracy", "0.9", "0.91"),
        ({"counts": [1, 3]}, "counts[1]", "2", "3"),
        ({"counts": [1]}, "counts[1]", "2", "missing"),
        ({"by": {"cat": 0.5, "dog": 1}}, "by.dog", "missing", "1"),
        ({"by": {}}, "by.cat", "0.5", "missing"),
        ({"name": "y"}, "name", '"x"', '"y"'),
        ({"ok": 1}, "ok", "true", "1"),
        ({"accuracy": None}, "accuracy", "0.9", "null"),
        ({"accuracy": NAN}, "accuracy", "0.9", "NaN"),
        ({"counts": {"0": 1}}, "counts", "[1, 2]", '{"0": 1}'),
        ({"counts": [1, 10**400]}, "counts[1]", "2", "1" + "0" * 78 + "…"),
    ],
)
def test_trees_say_the_path_to_the_value(
    tmp_path: Path, change: dict[str, Any], where: str, expected: str, found: str
) -> None:
    other = METRICS | change
    assert compared(tmp_path, "a.json", json_file, METRICS, other) == (
        Difference("build/a.json", where, expected, found),
    )


def json_file(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def test_trees_that_agree(tmp_path: Path) -> None:
    near = dict(reversed((METRICS | {"accuracy": 0.9 + 1e-9}).items()))
    assert compared(tmp_path, "a.json", json_file, METRICS, near) == ()
    assert compared(tmp_path, "a.json", json_file, {"a": NAN, "b": 1}, {"b": 1.0, "a": NAN}) == ()
    assert compared(tmp_path, "a.yaml", text, "a: 1.0\nb: x\n", "b: x\na: 1.0000000001\n") == ()
    (difference,) = compared(tmp_path, "a.toml", text, "[a]\nb = 1\n", "[a]\nb = 2\n")
    assert difference.where == "a.b"


def test_text_says_the_line_and_other_files_the_byte(tmp_path: Path) -> None:
    (line,) = compared(tmp_path, "a.txt", text, "one\ntwo\nthree\n", "one\ntoo\nthree\n")
    assert (line.where, line.expected, line.found) == ("line 2", "two", "too")
    (end,) = compared(tmp_path, "a.txt", text, "one\n", "one\ntwo\n")
    assert (end.where, end.expected, end.found) == ("line 2", "the end", "two")
    (byte,) = compared(tmp_path, "a.bin", text, b"\x00\x01\x02", b"\x00\x01\x03")
    assert (byte.where, byte.expected, byte.found) == ("byte 2", "0x02", "0x03")
    (short,) = compared(tmp_path, "a.bin", text, b"\x00\x01", b"\x00")
    assert (short.expected, short.found) == ("0x01", "the end, after 1 bytes")


def test_a_folder_is_compared_file_by_file(tmp_path: Path) -> None:
    for side, files in (
        ("one", {"same.txt": "s", "gone.txt": "g", "deep/w.json": '{"a": 1}', "link.txt": "l"}),
        ("two", {"same.txt": "s", "more.txt": "m", "deep/w.json": '{"a": 2}', "link.txt": "l"}),
    ):
        for name, body in files.items():
            path = tmp_path / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)
    found = differences(tmp_path / "one", tmp_path / "two", "build/parts", TOLERANCE)
    assert found == (
        Difference("build/parts/deep/w.json", "a", "1", "2"),
        Difference("build/parts/gone.txt", "", "a file", "missing"),
        Difference("build/parts/more.txt", "", "missing", "a file"),
    )
    assert same_bytes(tmp_path / "one", tmp_path / "one")
    assert not same_bytes(tmp_path / "one", tmp_path / "two")
    assert differences(tmp_path / "one", tmp_path / "one/same.txt", "out", 0.0) == (
        Difference("out", "", "a folder", "a file"),
    )
    assert differences(tmp_path / "one", tmp_path / "absent", "out", 0.0) == (
        Difference("out", "", "a folder", "missing"),
    )


def test_a_member_of_an_npz_that_is_no_array(tmp_path: Path) -> None:
    def archive(path: Path, body: str) -> None:
        npz(path, {"w": 1.0})
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("readme", body)

    (difference,) = compared(tmp_path, "a.npz", archive, "one", "two")
    assert difference.where == "member readme"


FLOATS = st.floats(width=64)


@given(FLOATS, FLOATS, st.floats(0, 0.5))
def test_closeness_is_symmetric_and_widens_with_the_tolerance(
    one: float, other: float, tolerance: float
) -> None:
    assert close(one, one, 0.0)
    assert close(one, other, tolerance) == close(other, one, tolerance)
    assert not close(one, other, tolerance) or close(one, other, tolerance * 2)
    if close(one, other, 0.0):
        assert one == other or (math.isnan(one) and math.isnan(other))


ROWS = st.lists(FLOATS, min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(one=ROWS, other=ROWS, tolerance=st.sampled_from([0.0, 1e-6, 0.1]))
def test_arrays_tables_and_trees_agree_with_each_other_about_every_number(
    tmp_path_factory: pytest.TempPathFactory,
    one: list[float],
    other: list[float],
    tolerance: float,
) -> None:
    """Each format by itself finds the first place at which the plain rule says that they differ."""
    folder = tmp_path_factory.mktemp("numbers")
    other = (other + one)[: len(one)]
    largest = max((abs(x) for x in one if math.isfinite(x)), default=0.0)
    apart = [
        at for at, (a, b) in enumerate(zip(one, other, strict=True)) if not alike(a, b, tolerance)
    ]
    tree = compared(folder, "a.json", json_file, one, other, tolerance)
    assert [d.where for d in tree] == [f"[{at}]" for at in apart[:1]]
    table = compared(folder, "a.csv", column, one, other, tolerance)
    assert [d.where for d in table] == [f"row {at + 2}, column x" for at in apart[:1]]
    noise = largest * 2.0**-52 if tolerance else 0.0
    louder = [at for at in apart if not abs(one[at] - other[at]) <= noise]
    array = compared(folder, "a.npy", npy, one, other, tolerance)
    assert [d.where for d in array] == [f"[{at}]" for at in louder[:1]]


def alike(one: float, other: float, tolerance: float) -> bool:
    """The rule as the documentation has it, by other means."""
    if math.isnan(one) or math.isnan(other) or math.isinf(one) or math.isinf(other):
        return repr(one) == repr(other)
    return abs(one - other) <= max(tolerance * max(abs(one), abs(other)), tolerance * 1e-6)


def column(path: Path, values: list[float]) -> None:
    path.write_text("".join(["x\n", *(f"{value!r}\n" for value in values)]))


def test_parquet_by_values_where_pyarrow_is_there(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def table(path: Path, columns: dict[str, list[Any]]) -> None:
        parquet.write_table(arrow.table(columns), path)

    base: dict[str, list[Any]] = {
        "x": [1.0, 2.0],
        "n": [1, None],
        "s": ["a", "b"],
        "f": [0.5, None],
    }
    for name, values, where in (
        ("x", [1.0, 2.5], "row 1, column x"),
        ("n", [1, 2], "row 1, column n"),
        ("s", ["c", "b"], "row 0, column s"),
        ("f", [0.75, None], "row 0, column f"),
    ):
        (difference,) = compared(tmp_path, "a.parquet", table, base, base | {name: values})
        assert difference.where == where
    near = base | {"x": [1.0, 2.0 + 1e-9], "f": [0.5 + 1e-9, None]}
    assert compared(tmp_path, "a.parquet", table, base, near) == ()
    (difference,) = compared(tmp_path, "a.parquet", table, base, {**base, "s": [1, 2]})
    assert difference.where == "columns"
    (difference,) = compared(
        tmp_path, "a.parquet", table, base, {name: values[:1] for name, values in base.items()}
    )
    assert (difference.where, difference.expected, difference.found) == ("rows", "2", "1")
