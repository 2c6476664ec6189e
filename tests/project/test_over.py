"""`--over`: what people type becomes a dimension, and nothing of it is ever run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.spaces import described, problem_in_choices, problem_in_range
from mlbench.domain.sweeps import Dimension, Range
from mlbench.project.over import parse_over


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("train.alpha=log(1e-5,1e-1)", Range(1e-5, 0.1, log=True)),
        ("a = float( 0, 1 )", Range(0.0, 1.0)),
        ("a=float(0,1,0.25)", Range(0.0, 1.0, step=0.25)),
        ("a=int(1,10)", Range(1, 10, is_whole=True)),
        ("a=int(1,1e3,2)", Range(1, 1000, step=2, is_whole=True)),
        ("a=logint(1,1024)", Range(1, 1024, log=True, is_whole=True)),
        ("a=32,64,128", (32, 64, 128)),
        ("a=adam, sgd", ("adam", "sgd")),
        ("a=true,false", (True, False)),
        ("a=[32],[64,64]", ([32], [64, 64])),
        ("a=choice('a,b',\"c)\")", ("a,b", "c)")),
        ("a=choice(none,1)", (None, 1)),
        ("a=1e-3,1e-2", (0.001, 0.01)),
    ],
)
def test_what_is_typed_is_what_is_tried(text: str, wanted: Any) -> None:
    dimension = parse_over(text)
    assert (dimension.range or dimension.choices) == wanted
    if dimension.range is not None:
        numbers = (dimension.range.low, dimension.range.high, dimension.range.step)
        kind = int if dimension.range.is_whole else float
        assert all(type(number) is kind for number in numbers if number is not None)


def test_a_file_may_stand_before_the_key() -> None:
    assert parse_over("conf/x.yaml:a.b=1,2") == Dimension("conf/x.yaml:a.b", choices=(1, 2))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("train.alpha", "varies nothing"),
        ("=1,2", "varies nothing"),
        (":a=1,2", "varies nothing"),
        ("a=5", "gives one value"),
        ("a=", "empty choice"),
        ("a=1,,2", "empty choice"),
        ("a=1,1", "1 is there twice"),
        ("a=lgo(1,2)", '(did you mean "log"?)'),
        ("a=__import__('os')", "is none of float, int, log, logint, choice"),
        ("a=log(1)", "has to be log(LOW,HIGH)"),
        ("a=log(1,2,3)", "has to be log(LOW,HIGH)"),
        ("a=int(1,2,3,4)", "int(LOW,HIGH,STEP)"),
        ("a=log(0,1)", "begins above 0"),
        ("a=log(x,1)", '"x" is no number'),
        ("a=int(1.5,3)", "1.5 is no whole number"),
        ("a=int(1,inf)", "inf is no whole number"),
        ("a=float(0,nan)", "finite"),
        ("a=float(2,1)", "low (2.0) must be less than high (1.0)"),
    ],
)
def test_what_is_wrong_is_said_with_an_example(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_over(text)
    assert problem in str(caught.value)
    assert str(caught.value).endswith(
        "write KEY=log(1e-5,1e-1), KEY=int(1,10), KEY=float(0,1) or KEY=32,64,128"
    )


whole = st.integers(-(10**18), 10**18)
real = st.floats(allow_nan=False, allow_infinity=False)
ranges = st.one_of(
    st.builds(Range, whole, whole, st.booleans(), st.none() | whole, st.just(True)),
    st.builds(Range, real, real, st.booleans(), st.none() | real, st.just(False)),
).filter(lambda allowed: problem_in_range(allowed) is None)
words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=8)
scalars = st.booleans() | whole | real | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
choices = (
    st.lists(values, min_size=1, max_size=4)
    .filter(lambda items: problem_in_choices(items) is None)
    .map(tuple)
)


@given(ranges.map(lambda allowed: Dimension("a.b", allowed)))
def test_a_range_as_it_is_told_can_be_typed(dimension: Dimension) -> None:
    assert parse_over(f"a.b={described(dimension)}") == dimension


@given(choices.map(lambda items: Dimension("a.b", choices=items)))
def test_choices_as_they_are_told_can_be_typed(dimension: Dimension) -> None:
    again = parse_over(f"a.b={described(dimension)}")
    assert repr(again) == repr(dimension)


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_dimension_or_one_sentence(text: str) -> None:
    try:
        dimension = parse_over(f"a={text}")
    except UsageError:
        return
    assert dimension.range is not None or dimension.choices
