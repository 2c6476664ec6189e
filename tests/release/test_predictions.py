"""The table of predictions: CSV and Parquet read the same, and what is wrong is named by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.release.predictions import read_predictions
from mlbench.release.slices import Predictions

NAME = "build/predictions.csv"


def read(folder: Path, text: str) -> Predictions:
    path = folder / "3f2a"
    path.write_text(text, encoding="utf-8")
    return read_predictions(path, NAME)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(folder, text)
    return str(caught.value)


def test_every_other_column_is_one_to_slice_by(tmp_path: Path) -> None:
    found = read(tmp_path, "region,truth,prediction,age\nnorth,1,1.0,30\nsouth,0,1,\n")
    assert found.truth.tolist() == ["1", "0"]
    assert found.predicted.tolist() == ["1", "1"]
    assert {name: column.tolist() for name, column in found.columns.items()} == {
        "region": ["north", "south"],
        "age": ["30", "missing"],
    }
    assert (found.classes, found.scores) == (("0", "1"), None)


def test_without_predictions_the_highest_score_is_it(tmp_path: Path) -> None:
    found = read(tmp_path, "truth,score_cat,score_dog\ncat,0.7,0.3\ncat,0.2,0.8\n")
    assert found.predicted.tolist() == ["cat", "dog"]
    assert found.scores is not None
    assert found.scores.tolist() == [[0.7, 0.3], [0.2, 0.8]]
    assert found.score_classes == ("cat", "dog")


def test_a_prediction_counts_before_its_scores(tmp_path: Path) -> None:
    found = read(tmp_path, "truth,prediction,score_1\n1,0,0.6\n")
    assert found.predicted.tolist() == ["0"]
    assert found.score_classes == ("1",)


def test_quotes_blank_lines_and_marks_of_byte_order_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, '\ufefftruth,prediction,site\n"a, b",c,"x\ny"\n\nc,c,x\n')
    assert found.truth.tolist() == ["a, b", "c"]
    assert found.columns["site"].tolist() == ["x\ny", "x"]


def test_large_whole_numbers_stay_apart(tmp_path: Path) -> None:
    found = read(tmp_path, "truth,prediction\n9007199254740993,9007199254740992\n")
    assert found.truth.tolist() != found.predicted.tolist()


def test_words_that_may_be_values_are_no_gaps(tmp_path: Path) -> None:
    found = read(tmp_path, "truth,prediction,country\nNone,None,NA\nrust,None,nan\n")
    assert found.classes == ("None", "rust")
    assert found.columns["country"].tolist() == ["NA", "missing"]


def test_true_and_1_are_one_class(tmp_path: Path) -> None:
    """As pandas writes labels beside `probability > 0.5`."""
    found = read(tmp_path, "truth,prediction\n1,True\n0,False\n0,True\n")
    assert found.predicted.tolist() == ["1", "0", "1"]
    turned = read(tmp_path, "truth,prediction\nTrue,1.0\nFalse,1.0\n")
    assert turned.truth.tolist() == ["1", "0"]
    words = read(tmp_path, "truth,prediction\nTrue,False\nFalse,False\n")
    assert words.classes == ("False", "True")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", f"{NAME}: has no column truth"),
        ("truth,prediction\n", f"{NAME}: has no rows"),
        ("label,prediction\n1,1\n", f"{NAME}: has no column truth"),
        ("truth,score_1\n1,1\n", f"{NAME}: has no column prediction"),
        ("truth,truth\n1,1\n", f'{NAME}: has two columns "truth"'),
        ("truth,prediction\n1,1\n1\n", f"{NAME}:3: has 1 values for 2 columns"),
        ("truth,prediction\n1,1\n\n,1\n", f"{NAME}:4: column truth is empty"),
        ("truth,prediction\n1,nan\n", f"{NAME}:2: column prediction is empty"),
        ("truth,score_0,score_1\n1,0.5,x\n", f'{NAME}:2: column score_1 is "x"'),
        ("truth,score_0,score_1\n1,,1\n", f'{NAME}:2: column score_0 is ""'),
        ('truth,prediction\n"1,1\n', f"{NAME}:2: is no CSV"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_bytes_that_are_no_text_spoil_one_value(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(b"truth,prediction,site\n1,1,caf\xe9\n")
    assert read_predictions(path, NAME).columns["site"].tolist() == ["caf\ufffd"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.npz").write_bytes(b"")
    with pytest.raises(UsageError, match=r"are a \.csv or \.parquet file"):
        read_predictions(tmp_path / "rows.npz", "rows.npz")
    with pytest.raises(UsageError, match="can't be read as Parquet"):
        read_predictions(tmp_path / "rows.npz", "rows.parquet")
    with pytest.raises(UsageError, match=r"gone\.csv: can't be read"):
        read_predictions(tmp_path / "gone", "gone.csv")


labels = st.sampled_from(["cat", "dog"]) | st.none()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(-1, 1), st.booleans(), labels), min_size=1))
def test_parquet_and_csv_of_one_table_read_the_same(
    tmp_path: Path, rows: list[tuple[int, float, bool, str | None]]
) -> None:
    names = ("truth", "prediction", "flag", "animal")
    columns: dict[str, list[Any]] = {
        name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    (tmp_path / "rows.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    one, other = (read_predictions(tmp_path / name, name) for name in ("rows.parquet", "rows.csv"))
    assert one.classes == other.classes
    for name in ("flag", "animal"):
        assert np.array_equal(one.columns[name], other.columns[name])
    assert np.array_equal(one.truth, other.truth)
    assert np.array_equal(one.predicted, other.predicted)


def test_a_bad_row_of_parquet_is_counted_from_one(tmp_path: Path) -> None:
    table = pa.table({"truth": ["a", None], "prediction": ["a", "a"]})
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(UsageError, match=r"rows\.parquet: row 2: column truth is empty"):
        read_predictions(tmp_path / "rows.parquet", "rows.parquet")
