"""Gates over a mapping of facts: what passes, what fails with which words, what does not apply."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.release import GateResult
from mlbench.domain.stages import GateSpec, ModelSpec
from mlbench.release.gates import hold, judge_gate, judge_gates

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def judged(check: str, level: str = "error", **facts: dict[str, Any]) -> GateResult:
    return judge_gate("digits", GateSpec(check, level), facts)


@given(finite, finite)
def test_a_comparison_tells_both_sides_and_the_margin(value: float, threshold: float) -> None:
    floor = judged("a >= b", metrics={"a": value}, params={"b": threshold})
    ceiling = judged("a <= b", metrics={"a": value}, params={"b": threshold})

    assert (floor.value, floor.threshold) == (value, threshold)
    assert floor.passed is (value >= threshold)
    assert floor.margin == value - threshold
    assert ceiling.passed is (value <= threshold)
    assert ceiling.margin == threshold - value
    for result in (floor, ceiling):
        assert result.margin is not None
        assert result.passed is (result.margin >= 0)
        assert bool(result.why) is not result.passed


def test_a_miss_says_by_how_much() -> None:
    result = judged("accuracy >= 0.95", metrics={"accuracy": 0.912})
    assert result.why == "missed by 0.038"
    assert result.refuses


def test_equality_is_missed_by_the_distance() -> None:
    assert judged("errors == 0", metrics={"errors": 3}).margin == -3
    assert judged("errors == 0", metrics={"errors": 0}).passed is True


@pytest.mark.parametrize(
    "check",
    ["accuracy >= 0.95", "not accuracy >= 0.95", "f1 > 0 or accuracy > 0", 'm["accuracy"] > 0'],
)
def test_a_missing_metric_fails_and_is_named(check: str) -> None:
    result = judged(check, metrics={"f1": 1.0})
    assert result.passed is False
    assert result.refuses
    assert "accuracy" in result.why


@pytest.mark.parametrize(
    "check",
    ["loss < 1", "loss >= 1", "loss != 1", "not loss > 1", "f1 > 0 or loss > 0", "abs(loss) < 9"],
)
def test_nan_fails_however_it_is_asked(check: str) -> None:
    result = judged(check, metrics={"loss": math.nan, "f1": 1.0})
    assert result.passed is False
    assert result.why == "loss is NaN"


def test_infinite_metrics_are_compared_but_their_difference_says_nothing() -> None:
    facts = {"loss": math.inf, "other": math.inf}
    assert judged("loss < 1", metrics=facts).passed is False
    assert judged("loss > 1", metrics=facts).passed is True
    difference = judged("loss - other != 1", metrics=facts)
    assert difference.passed is False
    assert "NaN" in difference.why


@pytest.mark.parametrize("root", ["production", "staging", "baseline"])
def test_a_comparison_with_nothing_live_does_not_apply(root: str) -> None:
    check = f"accuracy >= {root}.accuracy - 0.005"
    nothing: list[dict[str, Any]] = [{}, {root: {}}]
    for facts in nothing:
        result = judged(check, metrics={"accuracy": 0.9}, **facts)
        assert result.passed is None
        assert not result.refuses
        assert result.why == f"nothing is live in {root} yet"
    higher: dict[str, Any] = {root: {"accuracy": 0.91}}
    lower = judged(check, metrics={"accuracy": 0.9}, **higher)
    assert lower.passed is False
    assert lower.threshold == pytest.approx(0.905)


def test_what_is_live_must_have_the_metric() -> None:
    result = judged("f1 >= production.f1", metrics={"f1": 1.0}, production={"accuracy": 1.0})
    assert result.passed is False
    assert result.why == "production.f1 has no value"


def test_a_warning_is_told_and_refuses_nothing() -> None:
    warned = judged("onnx.p99_ms < 5", "warn", onnx={"p99_ms": 6.2})
    assert (warned.passed, warned.level, warned.refuses) == (False, "warn", False)
    assert hold([warned])
    assert not hold([warned, judged("onnx.p99_ms < 5", onnx={"p99_ms": 6.2})])


def test_nothing_to_judge_holds() -> None:
    assert hold([])


MODEL = ModelSpec(
    "digits",
    "train",
    "model.joblib",
    gates=tuple(
        GateSpec(check)
        for check in ("onnx.bytes < 9", "accuracy > 0", "accuracy > 0 and onnx.p99_ms < 5")
    ),
)


def test_gates_over_the_export_wait_for_it() -> None:
    facts = {"metrics": {"accuracy": 1.0}, "onnx": {"bytes": 10.0, "p99_ms": 1.0}}
    before = judge_gates(MODEL, facts, exported=False)
    after = judge_gates(MODEL, facts, exported=True)
    assert [result.gate for result in before] == ["accuracy > 0"]
    assert [result.gate for result in after] == [gate.check for gate in MODEL.gates]
    assert [result.passed for result in after] == [False, True, True]
    assert {result.model for result in after} == {"digits"}


def test_an_export_without_its_facts_fails() -> None:
    results = judge_gates(MODEL, {"metrics": {"accuracy": 1.0}}, exported=True)
    assert [result.passed for result in results] == [False, True, False]


def test_a_name_in_two_places_is_refused_with_both() -> None:
    result = judged("alpha > 0", metrics={"alpha": 1.0}, params={"alpha": 1.0})
    assert result.passed is False
    assert result.why == "alpha is ambiguous: write metrics.alpha or params.alpha"
    assert judged("params.alpha > 0", metrics={"alpha": 0.0}, params={"alpha": 1.0}).passed


def test_a_stage_of_tests_can_be_named_bare_or_whole() -> None:
    for check in ("tests.passed", "stages.tests.passed"):
        assert judged(check, stages={"tests.passed": True}).passed is True
        failed = judged(check, stages={"tests.passed": False})
        assert (failed.passed, failed.why, failed.margin) == (False, "does not hold", None)


def test_text_where_a_number_belongs_fails_with_a_sentence() -> None:
    result = judged("solver > 1", params={"solver": "sgd"})
    assert result.passed is False
    assert "not supported" in result.why
