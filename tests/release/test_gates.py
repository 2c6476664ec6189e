"""Gates over a mapping of facts: what passes, what fails with which words, what does not apply."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.stages import GateSpec, ModelSpec
from mlbench.release.gates import Evidence, hold, judge_gates
from tests.release.judged import judged

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


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
        assert root in result.why
        assert "yet" in result.why
    higher: dict[str, Any] = {root: {"accuracy": 0.91}}
    lower = judged(check, metrics={"accuracy": 0.9}, **higher)
    assert lower.passed is False
    assert lower.threshold == pytest.approx(0.905)


def test_what_is_live_must_have_the_metric() -> None:
    result = judged("f1 >= production.f1", metrics={"f1": 1.0}, production={"accuracy": 1.0})
    assert result.passed is False
    assert result.why == "production.f1 has no value"


@pytest.mark.parametrize(
    ("check", "meant"),
    [("acuracy > 0", "accuracy"), ("production.acuracy > 0", "accuracy"), ("rat > 0", "rate")],
)
def test_the_nearest_name_is_told(check: str, meant: str) -> None:
    facts: dict[str, Any] = {"metrics": {"accuracy": 1.0}, "production": {"accuracy": 1.0}}
    result = judged(check, params={"rate": 1.0}, **facts)
    assert result.passed is False
    assert result.why.endswith(f'(did you mean "{meant}"?)')


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
    assert result.why == "solver is 'sgd', which is neither more nor less than 1"


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        ("accuracy >= 0.9 and accuracy >= production.accuracy", False),
        ("accuracy >= 0.7 and accuracy > production.accuracy", True),
        ("accuracy >= 0.7 and f1 >= production.f1 and accuracy > baseline.accuracy", True),
        ("accuracy >= 0.9 or accuracy >= production.accuracy", False),
        ("not (accuracy < 0.9 or accuracy < production.accuracy)", False),
        ("0.9 <= accuracy >= production.accuracy", False),
        ("accuracy >= max(0.7, production.accuracy)", None),
        ("accuracy >= production.accuracy or accuracy >= baseline.accuracy", None),
    ],
)
def test_what_does_not_apply_leaves_the_rest_of_a_gate_in_force(
    check: str, passed: bool | None
) -> None:
    """As a first version, with nothing live, a gate must still hold to what it says of numbers."""
    result = judged(check, metrics={"accuracy": 0.8, "f1": 0.5})
    assert result.passed is passed
    assert "nothing is live in production yet" in result.why
    if "baseline" in check:
        assert "no run is the baseline yet" in result.why


def test_a_part_that_does_not_apply_is_told_beside_the_verdict() -> None:
    result = judged(
        "accuracy >= 0.9 and accuracy >= production.accuracy", metrics={"accuracy": 0.8}
    )
    assert (result.value, result.threshold) == (0.8, 0.9)
    assert result.why == (
        "missed by 0.1; accuracy >= production.accuracy does not apply: "
        "nothing is live in production yet"
    )


def test_what_is_live_and_lost_fails_what_compares_with_it() -> None:
    evidence = Evidence(lost={"production": "production serves v3, whose folder is gone"})
    facts: dict[str, Any] = {"metrics": {"accuracy": 1.0}}
    for check in ("accuracy >= production.accuracy", 'drop(accuracy, "region") < 0.01'):
        result = judged(check, evidence=evidence, **facts)
        assert result.refuses
        assert result.why == "production serves v3, whose folder is gone"
    assert judged("accuracy >= 0.9", evidence=evidence, **facts).passed is True


def test_a_tie_that_must_be_none_says_so() -> None:
    result = judged("accuracy > 0.95", metrics={"accuracy": 0.95})
    assert (result.passed, result.margin) == (False, 0)
    assert result.why == "is 0.95, which is the threshold itself"


@pytest.mark.parametrize(
    "check", ["accuracy", "accuracy - 0.95", "tests.passed and accuracy", "kind"]
)
def test_what_is_no_question_fails_since_it_would_nearly_always_hold(check: str) -> None:
    facts: dict[str, Any] = {"metrics": {"accuracy": 0.3}, "params": {"kind": "mlp"}}
    result = judged(check, stages={"tests.passed": True}, **facts)
    assert result.passed is False
    assert result.why.endswith("which is neither true nor false: compare it")


def test_a_sum_that_has_no_value_is_shown() -> None:
    result = judged("accuracy > log(loss)", metrics={"accuracy": 1.0, "loss": 0.0})
    assert (result.passed, result.why) == (False, "log(loss): math domain error")
