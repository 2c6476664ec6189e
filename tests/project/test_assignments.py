"""`train.alpha=0.1` as somebody types it: the value has the type of what stands there."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.project.assignments import (
    Assignment,
    parse_assignment,
    plain,
    revived,
    value_like,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.alpha=0.1", Assignment("train.alpha", "0.1")),
        ("conf/x.yaml:a.b=1", Assignment("a.b", "1", "conf/x.yaml")),
        ("url=http://x:1/?a=b", Assignment("url", "http://x:1/?a=b")),
        (" name = two words ", Assignment("name", "two words")),
        ("name=", Assignment("name", "")),
    ],
)
def test_an_assignment_names_file_key_and_value(text: str, expected: Assignment) -> None:
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["train.alpha", "=1", "x.yaml:=1", ":a=1", ""])
def test_what_sets_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="sets nothing"):
        parse_assignment(text)


@pytest.mark.parametrize(
    ("present", "typed", "expected"),
    [
        (0.1, "1", 1.0),
        (0.1, "1e-3", 0.001),
        (0.1, "inf", float("inf")),
        (5, "7", 7),
        (5, "1_000", 1000),
        (5, "0.5", 0.5),
        (5, "1e3", 1000),
        ("adam", "1", "1"),
        ("adam", "true", "true"),
        ("adam", "[1]", "[1]"),
        ("adam", '"1"', "1"),
        ("adam", "'a b'", "a b"),
        ("adam", "it's", "it's"),
        ("adam", "", ""),
        (True, "false", False),
        (False, "True", True),
        ([1, 2], "[3]", [3]),
        ([0.1], "[3, 1]", [3.0, 1.0]),
        ([], '["a", 1]', ["a", 1]),
        ((1, 2), "[3]", (3,)),
        (datetime.date(2024, 1, 1), "2025-02-03", datetime.date(2025, 2, 3)),
        (None, "0.5", 0.5),
        (None, "adam", "adam"),
        (5, "null", None),
    ],
)
def test_a_value_is_like_the_one_that_stands_there(present: Any, typed: str, expected: Any) -> None:
    value = value_like(present, Assignment("key", typed))
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("present", "typed", "complaint"),
    [
        (5, "many", 'key is a number, and "many" is none'),
        (0.5, "true", "is a number"),
        (True, "1", "is true or false"),
        ([1], "2", "is a list, as"),
        ([1], "1, 2", "is a list, as"),
        (datetime.date(2024, 1, 1), "soon", "is a date"),
    ],
)
def test_another_type_is_refused(present: Any, typed: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        value_like(present, Assignment("key", typed))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()


@given(SCALARS | st.lists(SCALARS.filter(lambda item: not isinstance(item, datetime.date))))
def test_a_value_survives_being_handed_over_as_json(value: Any) -> None:
    handed_over = json.loads(json.dumps(plain(value)))
    assert repr(revived(value, handed_over)) == repr(value)


@given(st.tuples(st.integers(), st.text()))
def test_a_tuple_survives_too(value: tuple[int, str]) -> None:
    assert revived(value, json.loads(json.dumps(plain(value)))) == value


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False))
def test_any_text_can_be_typed(text: str, number: float) -> None:
    assert value_like("old", Assignment("key", json.dumps(text))) == text
    assert value_like(0.5, Assignment("key", repr(number))) == number
