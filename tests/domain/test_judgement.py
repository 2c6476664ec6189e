"""Verdicts: they are the expression's truth, their margins agree with it, leeway only helps."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.expression import ExpressionError, MissingFactError, evaluate, parse
from mlbench.domain.judgement import Judgement, judge
from tests.domain.texts import FACTS, truths

finite = st.floats(-1e6, 1e6, allow_nan=False)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def judged(text: str, leeway: float | None = None, **metrics: float) -> Judgement:
    def width(_left: ast.expr, _right: ast.expr) -> float | None:
        return leeway

    return judge(parse(text), {"metrics": metrics} if metrics else FACTS, width)


@given(truths)
def test_a_judgement_holds_as_the_expression_does(text: str) -> None:
    try:
        value = evaluate(parse(text), FACTS)
    except ExpressionError:
        with pytest.raises(ExpressionError):
            judge(parse(text), FACTS)
    else:
        found = judged(text)
        assert found.holds is value
        if found.margin is not None:
            assert found.margin >= 0 if found.holds else found.margin <= 0


@given(truths, st.floats(0, 100))
def test_leeway_makes_nothing_fail(text: str, leeway: float) -> None:
    try:
        strict = judged(text)
        lenient = judged(text, leeway)
    except ExpressionError:
        return
    assert lenient.holds or not strict.holds
    assert not lenient.excused or lenient.holds
    if lenient.margin is not None:
        assert lenient.margin >= -leeway if lenient.holds else lenient.margin <= 0


@given(finite, finite, st.sampled_from(list(COMPARE)))
def test_the_margin_is_how_far_the_value_lies_on_the_good_side(
    value: float, threshold: float, sign: str
) -> None:
    found = judged(f"value {sign} threshold", value=value, threshold=threshold)
    assert (found.value, found.threshold) == (value, threshold)
    assert found.margin is not None
    assert abs(found.margin) == abs(value - threshold)
    assert found.holds is COMPARE[sign](value, threshold)
    assert found.margin >= 0 if found.holds else found.margin <= 0


@pytest.mark.parametrize(
    ("text", "holds", "margin", "value"),
    [
        ("0.9 < accuracy < 0.98", True, 0.01, 0.97),
        ("0 < loss < accuracy", True, 0.25, 0),
        ("accuracy > 0.9 and loss < 0.5", True, 0.07, 0.97),
        ("accuracy > 0.98 and loss < 0.5", False, -0.01, 0.97),
        ("accuracy > 0.98 and loss < 0.2", False, -0.05, 0.25),
        ("accuracy > 0.98 or loss < 0.5", True, 0.25, 0.25),
        ("accuracy > 0.98 or loss < 0.2", False, -0.01, 0.97),
        ("not accuracy < 0.9", True, 0.07, 0.97),
        ("not (accuracy > 0.9 and loss < 0.5)", False, -0.07, 0.97),
        ("accuracy > 0.9 and 'a' == 'a'", True, 0.07, 0.97),
    ],
)
def test_the_comparison_that_decides_gives_the_margin(
    text: str, holds: bool, margin: float, value: float
) -> None:
    found = judged(text)
    assert found.holds is holds
    assert found.margin == pytest.approx(margin)
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["'a' == 'a'", "True", "True == True", "accuracy > 0.9 and 'a' == 'b'", "True or loss > 1"],
)
def test_what_no_comparison_of_numbers_decides_has_no_margin(text: str) -> None:
    assert judged(text).margin is None


@given(finite, finite, st.floats(1e-3, 1e6))
def test_leeway_is_for_the_truth_that_is_wanted(
    value: float, threshold: float, leeway: float
) -> None:
    near = value - threshold >= -leeway
    for text in ("value >= threshold", "not value < threshold"):
        found = judged(text, leeway, value=value, threshold=threshold)
        assert found.holds is near
        assert found.excused is (near and value < threshold)
        assert found.noise == leeway
    beyond = judged("not value >= threshold", leeway, value=value, threshold=threshold)
    assert beyond.holds is (value - threshold <= leeway)


def test_equality_has_no_leeway() -> None:
    assert judged("a == b", 1.0, a=1.0, b=1.5).holds is False
    assert judged("a != b", 1.0, a=1.0, b=1.0).holds is False


def test_a_part_that_decides_nothing_any_more_may_be_unknown() -> None:
    assert judged("loss > 1 and nothing > 1").holds is False
    assert judged("loss < 1 or log(zero) > 1").holds is True
    with pytest.raises(MissingFactError):
        judged("loss < 1 and nothing > 1")


def test_a_number_beyond_floats_is_no_crash() -> None:
    with pytest.raises(ExpressionError):
        judged(f"{'9' * 400} > loss")
