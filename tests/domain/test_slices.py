"""Calls over slices as gates write them: what they mean, and what is refused with which words."""

from __future__ import annotations

import ast

import pytest

from mlbench.domain.expression import ExpressionError, names_in, parse
from mlbench.domain.slices import DIRECTIONS, SliceCall, label_text, parse_gate, slice_calls

CHECK = 'worst(accuracy, "region") >= 0.9 and gap(recall, "sex", "age", within="site") < f1'


def test_a_call_names_metric_columns_and_options() -> None:
    worst, gap = slice_calls(parse_gate(CHECK))
    assert worst == SliceCall("slices.worst(accuracy, 'region')", "worst", "accuracy", ("region",))
    assert (gap.columns, gap.within) == (("sex", "age"), "site")
    (ratio,) = slice_calls(parse_gate('1 - ratio(selection_rate, "sex", positive=1.0) < 0.2'))
    assert (ratio.function, ratio.positive) == ("ratio", "1")


def test_a_call_is_one_name_and_its_metric_none() -> None:
    worst, gap = slice_calls(parse_gate(CHECK))
    assert names_in(parse_gate(CHECK)) == {worst.name, gap.name, "f1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('wrost(accuracy, "region") > 0', 'no function wrost (did you mean "worst"?)'),
        ('worst(acuracy, "region") > 0', 'no metric acuracy (did you mean "accuracy"?)'),
        ("worst(accuracy) > 0", 'worst(accuracy, "region")'),
        ("worst() > 0", 'worst(accuracy, "region")'),
        ('gap("accuracy", "region") > 0', 'gap(accuracy, "region")'),
        ("gap(accuracy, region) > 0", 'gap(accuracy, "region")'),
        ("gap(accuracy, 1) > 0", 'gap(accuracy, "region")'),
        ('gap(metrics.accuracy, "region") > 0', 'gap(accuracy, "region")'),
        ('gap(accuracy, *"region") > 0', "not allowed here"),
        ('gap(accuracy, "region", **x) > 0', "its options are"),
        ('gap(accuracy, "region", by="sex") > 0', "its options are"),
        ('gap(accuracy, "region", within=sex) > 0', "within is a column"),
        ('gap(accuracy, "region", positive=sex) > 0', "its options are"),
        ('worst(selection_rate, "sex") > 0', "neither more nor less selection_rate is better"),
        ('drop(mean_prediction, "sex") < 0', "neither more nor less mean_prediction is better"),
    ],
)
def test_a_wrong_call_is_refused_with_what_would_do(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_gate(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("function", ["worst", "gap", "ratio", "drop"])
def test_only_gates_have_slices(function: str) -> None:
    with pytest.raises(ExpressionError, match="which gates alone have"):
        parse(f'{function}(accuracy, "region") > 0.5')


def test_every_metric_has_a_direction() -> None:
    assert set(DIRECTIONS.values()) == {-1, 0, 1}
    for metric, direction in DIRECTIONS.items():
        (call,) = slice_calls(parse_gate(f'gap({metric}, "sex") < 1'))
        assert call.direction == direction


def test_a_class_reads_the_same_however_it_is_written() -> None:
    assert label_text(1.0) == label_text(1) == label_text("1") == "1"
    assert label_text(0.5) == "0.5"
    assert ast.literal_eval(label_text(1e300)) == 1e300
