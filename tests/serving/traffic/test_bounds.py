"""Quantiles and bounds against what is known of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.serving.traffic.bounds import (
    chi_square_quantile,
    least_increase,
    share_between,
    t_quantile,
)


# As tabled in Abramowitz and Stegun, tables 26.8 and 26.10.
@pytest.mark.parametrize(
    ("probability", "degrees", "exact"),
    [(0.95, 1, 3.841), (0.99, 1, 6.635), (0.95, 9, 16.919), (0.999, 9, 27.877), (0.99, 30, 50.892)],
)
def test_chi_square(probability: float, degrees: int, exact: float) -> None:
    assert chi_square_quantile(probability, degrees) == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize(
    ("degrees", "exact"), [(2, 4.303), (3, 3.182), (6, 2.447), (30, 2.042), (1000, 1.962)]
)
def test_student(degrees: int, exact: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(exact, rel=0.01)


@given(st.integers(1, 60), st.floats(0.001, 0.999), st.floats(1e-6, 0.4))
def test_bounds_of_a_share_are_wrong_as_seldom_as_was_asked(
    total: int, share: float, alarm: float
) -> None:
    """Exactly, over everything that may be seen."""
    wrong_low = wrong_high = 0.0
    for count in range(total + 1):
        probability = math.comb(total, count) * share**count * (1 - share) ** (total - count)
        low, high = share_between(count, total, alarm)
        assert low <= count / total <= high
        wrong_low += probability * (low > share)
        wrong_high += probability * (high < share)
    assert max(wrong_low, wrong_high) <= alarm


@given(st.integers(2, 5000), st.floats(0, 1))
def test_bounds_narrow_with_what_was_seen(total: int, share: float) -> None:
    low, high = share_between(share * total, total, 0.01)
    wider = share_between(share * total / 2, total / 2, 0.01)
    assert wider[0] <= low
    assert high <= wider[1]


def test_nothing_seen_has_no_share() -> None:
    with pytest.raises(ValueError, match="a share of"):
        share_between(0, 0, 0.01)


@pytest.mark.parametrize("share", [0.002, 0.02, 0.3])
@pytest.mark.parametrize(("before", "after"), [(380, 20), (2000, 100), (80, 80)])
def test_an_increase_that_is_not_there_is_seldom_claimed(
    share: float, before: int, after: int
) -> None:
    rng = np.random.default_rng(1)
    claimed = [
        least_increase(float(first), before, float(second), after, 0.05) > 0
        for first, second in zip(
            rng.binomial(before, share, 400), rng.binomial(after, share, 400), strict=True
        )
    ]
    assert float(np.mean(claimed)) < 0.05


def test_an_increase_that_is_there_is_claimed_with_enough_requests() -> None:
    assert least_increase(0, 2850, 8, 150, 0.05) > 0.01
    assert least_increase(0, 285, 1, 15, 0.05) < 0.01
