from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.serving.refusals import RequestError
from mlbench.serving.requests.labels import (
    keep_labels,
    labels_of,
    number_or_text,
    parse_labels,
    read_labels,
)

ids = st.text(min_size=1, max_size=9)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.text(max_size=9) | numbers | st.booleans()


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_the_last_label_of_an_id_counts_and_models_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "serving" / "staging.labels.jsonl"
    assert keep_labels(path, "m", body({"id": "a", "label": 1})) == 1
    assert keep_labels(path, "m", body({"labels": [{"id": "b", "label": "x"}] * 2})) == 2
    assert keep_labels(path, "other", body({"id": "c", "label": True})) == 1
    keep_labels(path, "m", body({"id": "a", "label": [1, 2]}))
    assert labels_of(path) == {"a": [1, 2], "b": "x", "c": True}
    assert labels_of(path, "m") == {"a": [1, 2], "b": "x"}
    assert labels_of(tmp_path / "none") == {}


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    keep_labels(path, "m", body({"id": "a", "label": 1}))
    with path.open("ab") as file:
        file.write(b"0123abcd {torn")
    assert labels_of(path) == {"a": 1}
    keep_labels(path, "m", body({"id": "b", "label": 2}))
    assert labels_of(path) == {"a": 1, "b": 2}


@given(st.lists(st.tuples(ids, values | st.lists(values, min_size=1, max_size=3)), max_size=4))
def test_every_label_comes_through(labels: list[tuple[str, Any]]) -> None:
    found = [{"id": id_, "label": label} for id_, label in labels]
    if found:
        assert parse_labels(body({"labels": found})) == tuple(labels)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"[1]", "must be a JSON object"),
        (b"[" * 50_000, "not JSON"),
        (b"{}", "needs an id and a label"),
        (b'{"labels": []}', "one or more"),
        (b'{"labels": [1]}', "needs an id and a label"),
        (b'{"id": 7, "label": 1}', "an id must be a string"),
        (b'{"id": "", "label": 1}', "an id must be a string"),
        (b'{"id": "a", "label": null}', "a label must be"),
        (b'{"id": "a", "label": {}}', "a label must be"),
        (b'{"id": "a", "label": []}', "a label must be"),
        (b'{"id": "a", "label": NaN}', "finite"),
        (b'{"id": "a", "label": [1, Infinity]}', "finite"),
    ],
)
def test_what_is_no_label_is_refused_and_nothing_is_kept(
    tmp_path: Path, raw: bytes, says: str
) -> None:
    with pytest.raises(RequestError, match=says) as refused:
        keep_labels(tmp_path / "labels", "m", raw)
    assert refused.value.status == 400
    assert not (tmp_path / "labels").exists()


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    with contextlib.suppress(RequestError):
        parse_labels(raw)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-2.5", -2.5), ("1e3", 1000.0), ("true", True), ("False", False), ("007", "007"),
     ("1_000", "1_000"), ("nan", "nan"), ("inf", "inf"), ("cat", "cat"), (" x ", " x "), ("", "")],
)  # fmt: skip
def test_a_label_as_typed(text: str, value: Any) -> None:
    found = number_or_text(text)
    assert (found, type(found)) == (value, type(value))


def test_labels_of_a_csv_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('\ufefflabel,who,id\n3,x,a\n"a, b",y,b\n', encoding="utf-8")
    assert read_labels(file) == (("a", 3), ("b", "a, b"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks the column id and label; it has: none"),
        ("id,truth\na,1\n", "lacks the column label; it has: id, truth"),
        ("id,label\na,1\nb,\n", "line 3 has no label"),
        ("id,label\n,1\n", "line 2 has no id"),
        ("id,label\na\n", "line 2 has no label"),
    ],
)
def test_a_csv_file_without_labels_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_labels(file)


def test_a_csv_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_labels(tmp_path / "none.csv")
