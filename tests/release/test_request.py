"""Requests from arrays and from people's files, and held-out rows: real files and real JSON."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlbench.domain.errors import UsageError
from mlbench.domain.release import Signature, TensorSpec
from mlbench.project.rows import Table, read_table
from mlbench.release.folders import ANSWERS_NAME, REQUEST_NAME
from mlbench.release.request import (
    SAMPLE_ROWS,
    curl,
    fed_arrays,
    held_out_row,
    sample_request,
    tensors,
    write_request,
)
from mlbench.release.row_request import inputs_of
from mlbench.serving.protocol.parsing import parse_request

LABEL = (TensorSpec("label", "INT64", (-1,)),)
MATRIX = Signature((TensorSpec("input", "FP32", (-1, 2)),), LABEL)
NAMED = Signature(MATRIX.inputs, LABEL, columns=("width", "height"))
MIXED = Signature(
    (
        TensorSpec("island", "BYTES", (-1, 1)),
        TensorSpec("mass", "FP32", (-1, 1)),
        TensorSpec("year", "INT64", (-1, 1)),
        TensorSpec("ringed", "BOOL", (-1, 1)),
    ),
    LABEL,
)
IMAGES = Signature((TensorSpec("pixels", "FP32", (-1, 1, 2, 2)),), LABEL)
SEQUENCES = Signature((TensorSpec("steps", "FP32", (-1, -1, 2)),), LABEL)


def parsed(inputs: list[dict[str, Any]], signature: Signature) -> dict[str, Any]:
    """The arrays that a server makes of a request."""
    return dict(parse_request(json.dumps({"inputs": inputs}).encode(), None, signature).inputs)


@settings(deadline=None)
@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 12), st.just(2)), elements={"allow_infinity": True}
    )
)
def test_a_sample_request_holds_the_first_rows_that_json_can_say(X: np.ndarray[Any, Any]) -> None:
    request = sample_request({"input": X}, MATRIX)
    good = X[np.isfinite(X).all(axis=1)][:SAMPLE_ROWS]
    if len(good) == 0:
        assert request is None
    else:
        assert request is not None
        assert np.array_equal(parsed(request["inputs"], MATRIX)["input"], good)


def test_each_input_gets_its_tensor_and_rows_stay_together() -> None:
    fed: dict[str, Any] = {
        "island": np.array([["Dream"], ["Biscoe"], [b"Torgersen"]], dtype=object),
        "mass": np.array([[np.nan], [4.5], [3.25]], dtype=np.float32),
        "year": np.array([[2007], [2008], [2009]]),
        "ringed": np.array([[True], [False], [True]]),
    }
    request = sample_request(fed, MIXED)
    assert request is not None
    read = parsed(request["inputs"], MIXED)
    assert read["island"].tolist() == [["Biscoe"], ["Torgersen"]]
    assert read["mass"].tolist() == [[4.5], [3.25]]
    assert read["year"].tolist() == [[2008], [2009]]
    assert read["ringed"].tolist() == [[False], [True]]
    del fed["year"]
    assert sample_request(fed, MIXED) is None
    half = Signature((TensorSpec("input", "FP16", (-1, 1)),), LABEL)
    assert sample_request({"input": np.ones((2, 1), np.float16)}, half) is None
    with pytest.raises(ValueError, match='"mass" has a missing or infinite number in row 0'):
        tensors({**fed, "year": fed["ringed"]}, MIXED)


def answers(folder: Path, **more: Any) -> Path:
    X = np.array([[1, 2], [np.nan, 4], [5, 6]], dtype=np.float32)
    path = folder / ANSWERS_NAME
    np.savez(path, **{"in:input": X, "raw:input": X.astype(float), **more})
    return path


def test_a_held_out_row_has_answer_and_truth_where_they_are_known(tmp_path: Path) -> None:
    path = answers(tmp_path, label=np.array([3, 4, 5]), y=np.array(["a", "b", "c"]))
    row = held_out_row(path, 2, MATRIX)
    assert (row.index, row.answer, row.truth) == (2, "5", "c")
    assert parsed(row.inputs, MATRIX)["input"].tolist() == [[5.0, 6.0]]
    for index in (-1, 3):
        with pytest.raises(UsageError, match=f"no held-out row {index}; there are 3, from 0"):
            held_out_row(path, index, MATRIX)
    with pytest.raises(UsageError, match=r"held-out row 1: .* ask about another row"):
        held_out_row(path, 1, MATRIX)
    bare = held_out_row(answers(tmp_path), 0, MATRIX)
    assert (bare.answer, bare.truth) == (None, None)
    several = answers(tmp_path, scores=np.array([[0.5, 1 / 3]] * 3))
    assert held_out_row(several, 0, MATRIX).answer == "0.5, 0.333333"


def test_a_request_is_written_beside_the_answers(tmp_path: Path) -> None:
    write_request(tmp_path, MATRIX)
    assert not (tmp_path / REQUEST_NAME).exists()
    path = answers(tmp_path)
    write_request(tmp_path, MATRIX)
    request = json.loads((tmp_path / REQUEST_NAME).read_text())
    assert parsed(request["inputs"], MATRIX)["input"].tolist() == [[1.0, 2.0], [5.0, 6.0]]
    assert set(fed_arrays(path)) == set(fed_arrays(path, "raw:")) == {"input"}
    words = shlex.split(curl("a model", request, "http://127.0.0.1:8100", version=3))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8100/v2/models/a%20model/versions/3/infer"]
    first = parsed(json.loads(words[-1])["inputs"], MATRIX)["input"]
    assert first.tolist() == [[1.0, 2.0]]
    path.write_bytes(b"PK\x03\x04torn")
    with pytest.raises(UsageError, match="the held-out rows can't be read"):
        fed_arrays(path)


def asked(folder: Path, name: str, text: str, signature: Signature, ignored: str = "") -> Any:
    path = folder / name
    path.write_text(text)
    return parsed(inputs_of(read_table(path), signature, ignored), signature)


@pytest.mark.parametrize(
    ("name", "text", "signature"),
    [
        ("bare.csv", "1,2\n3.5,-4\n", MATRIX),
        ("named.csv", "a,label,b\n1,cat,2\n3.5,dog,-4\n", MATRIX),
        ("named.csv", "label,height,width\ncat,2,1\ndog,-4,3.5\n", NAMED),
        ("rows.json", "[[1, 2], [3.5, -4]]", MATRIX),
        ("rows.json", '[{"height": 2, "width": 1}, {"width": 3.5, "height": "-4"}]', NAMED),
        ("rows.json", "[[1, 2], [3.5, -4]]", NAMED),
    ],
)
def test_rows_become_one_matrix(tmp_path: Path, name: str, text: str, signature: Signature) -> None:
    read = asked(tmp_path, name, text, signature, "label")
    assert read["input"].tolist() == [[1.0, 2.0], [3.5, -4.0]]


def test_columns_become_tensors_by_their_names(tmp_path: Path) -> None:
    text = "year,species,island,ringed,mass\n2007,Adelie,007,true,3750\n2008.0,Gentoo,,0,1e3\n"
    with pytest.raises(UsageError, match='row 2, column "island": is missing, and the protocol'):
        asked(tmp_path, "some.csv", text, MIXED)
    read = asked(tmp_path, "all.csv", text.replace(",,", ",Dream,"), MIXED)
    assert read["island"].tolist() == [["007"], ["Dream"]]
    assert read["year"].tolist() == [[2007], [2008]]
    assert read["ringed"].tolist() == [[True], [False]]
    assert read["mass"].tolist() == [[3750.0], [1000.0]]


def test_parquet_and_npz_are_read_by_column_too(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "mass": [3750.0, 1000.0],
        "island": ["Torgersen", "Dream"],
        "year": [2007, 2008],
        "ringed": [True, False],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    held: dict[str, Any] = {name: np.array(values) for name, values in columns.items()}
    np.savez(tmp_path / "a.npz", **held)
    for name in ("a.parquet", "a.npz"):
        read = parsed(inputs_of(read_table(tmp_path / name), MIXED), MIXED)
        assert {key: value.ravel().tolist() for key, value in read.items()} == columns


@settings(deadline=None)
@given(arrays.arrays(np.float32, (3, 1, 2, 2), elements=st.floats(-9, 9, width=32)))
def test_images_keep_their_shape_nested_or_flat(X: np.ndarray[Any, Any]) -> None:
    path = Path("never-read.json")
    for rows in (X.tolist(), X.reshape(3, 4).tolist()):
        read = parsed(inputs_of(Table(path, (), rows), IMAGES), IMAGES)
        assert np.array_equal(read["pixels"], X)


def test_a_free_dimension_is_as_the_row_is_nested(tmp_path: Path) -> None:
    read = asked(tmp_path, "a.json", "[[[1, 2], [3, 4], [5, 6]]]", SEQUENCES)
    assert read["steps"].shape == (1, 3, 2)
    np.savez(tmp_path / "a.npz", steps=np.ones((2, 5, 2)), more=np.ones(2))
    table = read_table(tmp_path / "a.npz")
    assert parsed(inputs_of(table, SEQUENCES), SEQUENCES)["steps"].shape == (2, 5, 2)
    with pytest.raises(UsageError, match="its rows are of unlike sizes"):
        asked(tmp_path, "a.json", "[[[1, 2]], [[1, 2], [3, 4]]]", SEQUENCES)
    with pytest.raises(UsageError, match=r"row 1 is of shape \[2\], the model takes \['any', 2\]"):
        asked(tmp_path, "a.json", "[[1, 2]]", SEQUENCES)


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", " 2 ", "1e400", "0x1", "TRUE", "\ud800", 2**63, 1e39, [1.0], [], {}])
)


@settings(deadline=None)
@given(st.lists(st.lists(ODD, min_size=4, max_size=4), min_size=1, max_size=3), st.booleans())
def test_what_is_sent_is_what_a_server_takes(rows: list[list[Any]], is_mixed: bool) -> None:
    path = Path("never-read.json")
    signature = MIXED if is_mixed else Signature((TensorSpec("x", "FP32", (-1, 4)),), LABEL)
    names = tuple(spec.name for spec in MIXED.inputs) if is_mixed else ()
    try:
        inputs = inputs_of(Table(path, names, rows), signature)
    except UsageError:
        return
    assert all(len(array) == len(rows) for array in parsed(inputs, signature).values())


BAD = {
    "ragged": ("a.json", "[[[1, 2, 3], [4]]]", IMAGES, "row 1 is ragged"),
    "turned": ("a.json", "[[[1], [2], [3], [4]]]", IMAGES, "row 1 is of shape [4, 1], the model"),
    "large": ("a.csv", "1,1e39\n", MATRIX, 'value 2: "1e+39" is out of range for FP32'),
    "wide": ("a.csv", "1,2,3\n", MATRIX, "row 1 has 3 values, the model takes 2"),
    "word": ("a.csv", "a,b\n1,x\n", MATRIX, 'row 1, column "b": "x" is no number'),
    "nan": ("a.csv", "a,b\n1,nan\n", MATRIX, 'row 1, column "b": is missing, and the protocol'),
    "unnamed": ("a.json", '[[1, "x"]]', MATRIX, 'row 1, value 2: "x" is no number'),
    "infinite": ("a.json", "[[1, Infinity]]", MATRIX, "row 1, value 2: is infinite"),
    "absent": ("a.csv", "width,hieght\n1,2\n", NAMED, 'lacks the column "height" (did you mean'),
    "gap": ("a.json", '[{"width": 1, "height": null}]', NAMED, 'row 1, column "height": is miss'),
    "object": ("a.json", '[{"width": 1, "height": {}}]', NAMED, '"height": "{}" is no number'),
    "no names": ("a.json", '[["x", 1, 2, true]]', MIXED, 'lacks the column "island" that'),
    "fraction": (
        "a.json",
        '{"island": "x", "mass": 1, "year": 1.5, "ringed": true}',
        MIXED,
        'row 1, column "year": "1.5" is no whole number',
    ),
    "maybe": (
        "a.json",
        '{"island": "x", "mass": 1, "year": 1, "ringed": "maybe"}',
        MIXED,
        'row 1, column "ringed": is missing or neither true nor false',
    ),
    "no text": (
        "a.json",
        '{"island": 1.5, "mass": 1, "year": 1, "ringed": 1}',
        MIXED,
        'row 1, column "island": "1.5" is no text',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named_by_row_and_column(tmp_path: Path, name: str) -> None:
    file, text, signature, message = BAD[name]
    with pytest.raises(UsageError) as caught:
        asked(tmp_path, file, text, signature)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / file))


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    half = Signature((TensorSpec("input", "BF16", (-1, 1)),), LABEL)
    with pytest.raises(UsageError, match='"input" is BF16, which JSON can\'t hold'):
        inputs_of(read_table(tmp_path / "a.csv"), half)
