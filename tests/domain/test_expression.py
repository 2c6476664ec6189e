"""The expression language: Python's own meaning inside the allow-list, nothing outside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given

from mlbench.domain.expression import (
    ExpressionError,
    MissingFactError,
    compiled,
    evaluate,
    look_up,
    names_in,
    parse,
)
from tests.domain.texts import FACTS, METRICS, PARAMS, numbers, truths

IN_PYTHON = {
    **METRICS,
    **PARAMS,
    "metrics": SimpleNamespace(**METRICS),
    "params": SimpleNamespace(**PARAMS),
    "m": METRICS,
    "log": math.log,
}


def _in_python(text: str) -> Any:
    try:
        return eval(text, {"__builtins__": {"abs": abs, "min": min, "max": max}}, IN_PYTHON)
    except (ArithmeticError, ValueError):
        return ExpressionError


def _here(text: str) -> Any:
    try:
        return evaluate(parse(text), FACTS)
    except ExpressionError:
        return ExpressionError


@given(numbers)
def test_arithmetic_is_pythons(text: str) -> None:
    assert repr(_here(text)) == repr(_in_python(text))


@given(truths)
def test_comparison_and_logic_are_pythons(text: str) -> None:
    assert _here(text) is _in_python(text)


@pytest.mark.parametrize(
    "text",
    [
        "().__class__",
        "''.__class__",
        "(1).real",
        "(loss).__class__.__base__ if True else 1",
        "__import__('os')",
        "open('x')",
        "loss.mean()",
        "abs(x=1)",
        "abs(*loss)",
        "max(**loss)",
        "(lambda: 1)()",
        "lambda: 1",
        "[x for x in loss]",
        "{x for x in loss}",
        "{x: 1 for x in loss}",
        "(x for x in loss)",
        "[1, 2]",
        "(1, 2)",
        "{1: 2}",
        "{1}",
        'f"{loss}"',
        "(x := 1)",
        "loss ** 9",
        "1 << 9",
        "~1",
        "loss // 2",
        "loss @ loss",
        "1 if loss else 2",
        "loss is 1",
        "'a' in 'abc'",
        "m[loss]",
        "m[1:2]",
        "m[0][loss]",
        "'abc'[0]",
        "await loss",
        "yield",
        "b'bytes'",
        "1j",
        "None",
        "...",
        "loss; loss",
        "loss = 1",
        "import os",
        "",
        "loss >",
        "a\nb",
        "\0",
        "'\ud800' == loss",
    ],
)
def test_what_is_not_on_the_list_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 + " * 1000 + "1",
        "+".join(["1"] * 900),
        "not " * 450 + "True",
        "-" * 1900 + "1",
        "(" * 900 + "1" + ")" * 900,
        "1" * 5000,
        "a" + ".a" * 990,
    ],
)
def test_huge_input_is_refused_and_never_overflows_the_stack(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(parse(text), FACTS)


@pytest.mark.parametrize(
    "text", ["'a' * 9", "9 * 'a'", "'a' + 'b'", "'%s' % 1", "-'a'", "True + 1"]
)
def test_only_numbers_are_reckoned_with(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(parse(text), FACTS)


@pytest.mark.parametrize(
    "text",
    ["log(0)", "log(0 - 1)", "1 / zero", "1 % zero", "min()", "min(1)", "abs('a')", "'a' < 1"],
)
def test_what_has_no_value_is_said_in_the_languages_own_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(parse(text), FACTS)


def test_a_stray_backslash_in_a_text_warns_nobody() -> None:
    assert evaluate(parse(r"'\d' == '\d'"), FACTS) is True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("accuracy", 0.97),
        ("metrics.accuracy", 0.97),
        ('m["val/loss"]', 0.3),
        ('metrics["val/loss"]', 0.3),
        ('m["val/loss"].min', 0.1),
        ("train.alpha", 0.1),
        ("params.train.alpha", 0.1),
        ("tests.passed", True),
        ("stages.tests.passed", True),
        ("production.accuracy", 0.9),
        ('stages["unit-tests.passed"]', False),
    ],
)
def test_names_are_found_under_their_roots(text: str, value: object) -> None:
    facts = {
        "metrics": {"accuracy": 0.97, "val/loss": 0.3, "val/loss.min": 0.1},
        "params": {"train.alpha": 0.1},
        "stages": {"tests.passed": True, "unit-tests.passed": False},
        "production": {"accuracy": 0.9},
    }
    assert evaluate(parse(text), facts) == value


def test_a_bare_name_that_two_roots_have_is_refused_with_both_ways_to_write_it() -> None:
    facts = {"metrics": {"seed": 1.0}, "params": {"seed": 2}}
    with pytest.raises(ExpressionError, match=r"metrics\.seed or params\.seed"):
        look_up("seed", facts)
    assert look_up("params.seed", facts) == 2


@pytest.mark.parametrize(
    "name",
    ["nothing", "metrics.nothing", "production.accuracy", "accuracy.__class__", "abs.__self__"],
)
def test_a_name_without_a_value_is_told_apart(name: str) -> None:
    with pytest.raises(MissingFactError) as caught:
        evaluate(parse(f"{name} > 1"), FACTS)
    assert caught.value.name == name


def test_a_compiled_expression_asks_for_each_name_once_and_reads_it_for_each_subject() -> None:
    asked: list[str] = []

    def find(name: str) -> Callable[[dict[str, float]], Any]:
        asked.append(name)
        return lambda subject: subject[name]

    value = compiled(parse("loss < 0.5 and not accuracy < 0.9"), find)
    subjects = [{"loss": 0.1, "accuracy": 0.95}, {"loss": 0.1, "accuracy": 0.5}, {"loss": 0.9}]
    assert [value(subject) for subject in subjects] == [True, False, False]
    assert sorted(asked) == ["accuracy", "loss"]
    with pytest.raises(KeyError):
        value({"loss": 0.1})
    with pytest.raises(ExpressionError, match="not supported between"):
        compiled(parse("'loss' < 1"), find)({})


def test_a_name_that_logic_does_not_reach_is_not_asked_for() -> None:
    assert evaluate(parse("True or nothing > 1"), FACTS) is True


@given(truths)
def test_names_in_are_exactly_those_that_are_asked_for(text: str) -> None:
    tree = parse(text)
    expected = {
        name: f"metrics.{name[3:-2]}" if name.startswith("m[") else name
        for name in [*METRICS, *PARAMS, "metrics.accuracy", "params.depth", 'm["loss"]']
    }
    assert names_in(tree) <= {*expected.values(), "metrics.epochs"}
    for name in names_in(tree):
        look_up(name, FACTS)
