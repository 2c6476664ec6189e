"""Gates over a mapping of facts: what passes, what fails with which words, what does not apply."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.comparison import Noise, Repeats
from mlbench.domain.errors import UsageError
from mlbench.domain.release import GateResult
from mlbench.domain.slices import DIRECTIONS
from mlbench.domain.stages import GateSpec, ModelSpec
from mlbench.release.gates import (
    NOTHING_ELSE,
    Evidence,
    hold,
    judge_gate,
    judge_gates,
    needs_export,
)
from mlbench.release.leeway import Scatter
from mlbench.release.slices import Predictions

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def judged(
    check: str,
    level: str = "error",
    *,
    evidence: Evidence = NOTHING_ELSE,
    min_rows: int = 1,
    **facts: Any,
) -> GateResult:
    return judge_gate("digits", GateSpec(check, level, min_rows), facts, evidence)


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
    assert "not supported" in result.why


def repeated(own: list[float], live: list[float]) -> tuple[Evidence, dict[str, Any]]:
    """What runs of these accuracies tell, and the facts with the last of each."""
    squares = [(value - statistics.fmean(group)) ** 2 for group in (own, live) for value in group]
    degrees = len(own) + len(live) - 2
    noise = Noise(math.sqrt(sum(squares) / degrees), degrees)
    repeats = {
        root: {"accuracy": Repeats(group[-1], statistics.fmean(group), len(group))}
        for root, group in (("metrics", own), ("production", live))
        if len(group) > 1
    }
    facts = {"metrics": {"accuracy": own[-1]}, "production": {"accuracy": live[-1]}}
    return Evidence(scatter=lambda: Scatter({"accuracy": noise}, repeats)), facts


BETTER = "accuracy >= production.accuracy"


def test_worse_by_less_than_chance_is_within_the_noise() -> None:
    evidence, facts = repeated([0.90, 0.92, 0.91], [0.915])
    result = judged(BETTER, evidence=evidence, **facts)
    width = 4.303 * 0.01 * math.sqrt(1 / 3 + 1)
    assert result.passed is True
    assert result.value == pytest.approx(0.91)
    assert result.threshold == 0.915
    assert result.margin == pytest.approx(-0.005)
    assert result.noise == pytest.approx(width)
    assert result.why == (
        f"within the noise (±{width:.4g} of 2 repeats); "
        "accuracy is the mean of 3 equal runs, 0.91 in this one"
    )


def test_worse_by_more_than_chance_fails_and_says_so() -> None:
    evidence, facts = repeated([0.90, 0.92, 0.91], [0.99, 0.99])
    result = judged(BETTER, evidence=evidence, **facts)
    assert result.passed is False
    assert result.why.startswith("missed by 0.08, beyond the noise (±")
    assert "production.accuracy is the mean of 2 equal runs" in result.why


def test_a_lucky_run_does_not_pass_a_number() -> None:
    evidence, facts = repeated([0.93, 0.94, 0.96], [0.9])
    result = judged("accuracy >= 0.95", evidence=evidence, **facts)
    assert judged("accuracy >= 0.95", **facts).passed is True
    assert (result.passed, result.noise) == (False, None)
    assert result.why == (
        "missed by 0.006667; accuracy is the mean of 3 equal runs, 0.96 in this one"
    )


def test_two_single_runs_may_lie_apart_by_what_diff_says() -> None:
    noise = Noise(0.01, 5)
    evidence = Evidence(scatter=lambda: Scatter({"accuracy": noise}))
    live = {"accuracy": 0.9 + noise.least_change}
    facts: dict[str, Any] = {"metrics": {"accuracy": 0.9}, "production": live}
    result = judged(f"{BETTER} - 1e-9", evidence=evidence, **facts)
    assert result.passed is True
    assert result.noise == pytest.approx(noise.least_change)


@pytest.mark.parametrize(
    ("check", "factor"),
    [
        (f"{BETTER} - 0.005", math.sqrt(2)),
        ("accuracy - production.accuracy > 0", math.sqrt(2)),
        ("not accuracy < production.accuracy", math.sqrt(2)),
        ("production.accuracy <= metrics.accuracy", math.sqrt(2)),
        ("accuracy >= 2 * production.accuracy - 0.9", math.sqrt(5)),
        ("tests.passed and accuracy > production.accuracy", math.sqrt(2)),
        ("0 < production.accuracy <= accuracy", math.sqrt(2)),
    ],
)
def test_noise_is_carried_through_what_is_reckoned(check: str, factor: float) -> None:
    noise = Noise(0.01, 5)
    evidence = Evidence(scatter=lambda: Scatter({"accuracy": noise}))
    result = judged(
        check,
        evidence=evidence,
        metrics={"accuracy": 0.899},
        production={"accuracy": 0.9},
        stages={"tests.passed": True},
    )
    assert result.passed is True
    assert result.noise == pytest.approx(noise.quantile * noise.deviation * factor)


def test_a_metric_that_was_measured_again_has_no_mean() -> None:
    evidence, facts = repeated([0.90, 0.92, 0.91], [0.80, 0.82])
    facts["production"]["accuracy"] = 0.70
    result = judged(BETTER, evidence=evidence, **facts)
    assert result.threshold == 0.70
    assert "production.accuracy is" not in result.why


@given(finite, finite, st.floats(0, 1e3), st.integers(1, 40))
def test_noise_never_makes_a_gate_fail(
    own: float, live: float, deviation: float, degrees: int
) -> None:
    evidence = Evidence(scatter=lambda: Scatter({"a": Noise(deviation, degrees)}))
    facts: dict[str, Any] = {"metrics": {"a": own}, "production": {"a": live}}
    for check in ("a >= production.a", "a <= production.a", "not a > production.a"):
        plain, noisy = judged(check, **facts), judged(check, evidence=evidence, **facts)
        assert noisy.passed or not plain.passed
        assert noisy.margin is not None
        least = -(noisy.noise or 0.0)
        assert noisy.margin >= least if noisy.passed else noisy.margin <= 0


def table(hits: str, region: str) -> Callable[[], Predictions]:
    """Predictions that are right where `hits` has a 1."""
    truth = np.array(["1"] * len(hits))
    return lambda: Predictions(truth, np.array([*hits]), {"region": np.array([*region])})


SLICED = Evidence(
    {"": table("1101" + "1111", "nnnnssss"), "production": table("1111" + "1110", "nnnnssss")}
)
LIVE = {"accuracy": 1.0}


def test_a_gate_by_slice_names_the_slice_also_where_it_holds() -> None:
    worst = judged('worst(accuracy, "region") >= 0.7', evidence=SLICED)
    assert (worst.passed, worst.value, worst.threshold) == (True, 0.75, 0.7)
    assert worst.why == "accuracy is worst at region=n: 0.75 of 4 rows"
    gap = judged('gap(accuracy, "region") < 0.05', evidence=SLICED)
    assert gap.passed is False
    assert gap.margin == pytest.approx(-0.2)
    assert gap.why.startswith("missed by 0.2; accuracy goes from 0.75 at region=n")


def test_slices_stand_anywhere_in_an_expression() -> None:
    check = 'accuracy > 0.8 and worst(accuracy, "region") >= accuracy - gap(accuracy, "region")'
    result = judged(check, evidence=SLICED, metrics={"accuracy": 0.9})
    assert result.passed is True
    assert result.margin == pytest.approx(0.1)
    assert result.why.count("region=n") == 2
    assert not needs_export(GateSpec(check))


def test_a_drop_is_against_what_production_predicted() -> None:
    check = 'drop(accuracy, "region") < 0.01'
    result = judged(check, evidence=SLICED, production=LIVE)
    assert (result.passed, result.value) == (False, 0.25)
    assert "region=n loses most: accuracy 1 in production, 0.75 here" in result.why
    nothing = judged(check, evidence=SLICED)
    assert (nothing.passed, nothing.why) == (None, "nothing is live in production yet")
    bare = judged(check, evidence=Evidence({"": SLICED.predictions[""]}), production=LIVE)
    assert (bare.passed, "has no predictions" in bare.why) == (None, True)


def test_slices_that_are_all_too_small_do_not_apply() -> None:
    result = judged('worst(accuracy, "region") >= 0.7', evidence=SLICED, min_rows=5)
    assert result.passed is None
    assert result.why == ("every slice by region has fewer than 5 rows; region=n has most, 4")


def test_what_can_not_be_sliced_fails_with_a_sentence() -> None:
    unknown = judged('worst(accuracy, "site") >= 0.7', evidence=SLICED)
    assert (unknown.passed, "no column site" in unknown.why) == (False, True)
    none = judged('worst(accuracy, "region") >= 0.7')
    assert (none.passed, "no predictions to slice" in none.why) == (False, True)

    def broken() -> Predictions:
        raise UsageError("build/p.csv:7: has 1 values for 2 columns")

    result = judged('worst(accuracy, "region") > 0', evidence=Evidence({"": broken}))
    assert (result.passed, result.why) == (False, "build/p.csv:7: has 1 values for 2 columns")


anything = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.integers()
    | st.integers(10**400, 10**401)
    | st.floats()
    | st.lists(st.integers(), max_size=2)
)
holders = st.dictionaries(
    st.sampled_from(["metrics", "params", "stages", "onnx", "production", "staging", "baseline"]),
    st.dictionaries(st.sampled_from(["a", "b", "onnx.a", "c.passed"]), anything),
)
operands = st.sampled_from(
    ["a", "b", "metrics.a", "production.a", "baseline.b", "onnx.a", "staging.onnx.a", "c.passed"]
    + ["1", "0.5", "'x'", "log(a)", "a / b", "max(a, production.a)", "-b", "a % 0"]
    + [f'{function}({metric}, "region")' for function in ("gap", "ratio") for metric in DIRECTIONS]
    + ['worst(accuracy, "a")', 'drop(recall, "region")', 'gap(f1, "region", positive="z")']
)
parts = st.tuples(operands, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), operands).map(
    " ".join
)
checks = st.recursive(
    parts | operands,
    lambda inner: (
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(
            lambda found: f"({''.join(found)})"
        )
        | inner.map("not ({})".format)
    ),
    max_leaves=4,
)


@given(checks, holders, st.sampled_from([0.0, 0.01, 1e300, math.inf]), st.integers(1, 6))
def test_judging_never_raises_and_its_margin_agrees(
    check: str, facts: dict[str, Any], deviation: float, min_rows: int
) -> None:
    noise = {"a": Noise(deviation, 3)}
    own = Repeats(1.0, 0.9, 3)
    scatter = Scatter(noise, {"metrics": {"a": own}, "production": {"a": own}})
    evidence = Evidence(SLICED.predictions, lambda: scatter)
    result = judged(check, evidence=evidence, min_rows=min_rows, **facts)
    assert result.passed is not None or result.why
    assert result.passed or result.why
    if result.margin is not None:
        least = -(result.noise or 0.0)
        assert result.margin >= least if result.passed else result.margin <= 0


@given(checks)
def test_a_missing_or_nan_metric_fails(check: str) -> None:
    wanted = f"({check}) and a > 0"
    everything = {root: {"b": 1.0, "a": 1.0, "onnx.a": 1.0} for root in ("baseline", "production")}
    common: dict[str, Any] = {**everything, "staging": {"onnx.a": 1.0}, "onnx": {"a": 1.0}}
    for metrics in ({"b": 1.0}, {"a": math.nan, "b": 1.0}):
        result = judged(wanted, evidence=SLICED, metrics=metrics, **common)
        assert result.passed is not True
        if "region" not in check:
            assert result.passed is False
