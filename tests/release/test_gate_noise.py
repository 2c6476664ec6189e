"""Gates where repeats of runs tell how far chance moves a metric."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.comparison import Noise, Repeats
from mlbench.release.gates import Evidence
from mlbench.release.leeway import Scatter
from tests.release.judged import judged

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


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


@pytest.mark.parametrize(
    "check", ["accuracy >= max(0.95, production.accuracy)", "accuracy >= 0.95"]
)
def test_chance_excuses_nothing_where_a_number_decides(check: str) -> None:
    evidence = Evidence(scatter=lambda: Scatter({"accuracy": Noise(0.01, 5)}))
    facts: dict[str, Any] = {"metrics": {"accuracy": 0.949}, "production": {"accuracy": 0.9}}
    result = judged(check, evidence=evidence, **facts)
    assert (result.passed, result.noise) == (False, None)
