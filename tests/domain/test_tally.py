from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.tally import LATENCY_BOUNDS, Tally, percentile

seconds = st.floats(60e-6, LATENCY_BOUNDS[-1] * 0.99)
shares = st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0])


def counted(times: list[float]) -> tuple[int, ...]:
    places = np.searchsorted(LATENCY_BOUNDS, times)
    return tuple(np.bincount(places, minlength=len(LATENCY_BOUNDS) + 1).tolist())


@given(st.lists(seconds, min_size=1, max_size=300), shares)
def test_a_percentile_is_within_a_bucket_of_the_true_one(times: list[float], share: float) -> None:
    found = percentile(counted(times), share)
    assert found is not None
    true = float(np.quantile(times, share, method="inverted_cdf"))
    assert true / 1.13 <= found <= true * 1.13


@given(st.lists(seconds, max_size=200))
def test_percentiles_grow_with_their_share(times: list[float]) -> None:
    tally = Tally("m", "1", latencies=counted(times))
    found = [tally.percentile(share / 20) for share in range(1, 21)]
    if times:
        assert found == sorted(value for value in found if value is not None)
    else:
        assert found == [None] * 20


def test_answers_slower_than_any_bound_have_the_last_bound_for_a_percentile() -> None:
    assert percentile(counted([1000.0]), 0.99) == LATENCY_BOUNDS[-1]


@given(st.lists(seconds, max_size=200), seconds)
def test_slower_than_lies_between_what_its_bucket_allows(times: list[float], limit: float) -> None:
    tally = Tally("m", "1", answered=len(times), latencies=counted(times))
    place = int(np.searchsorted(LATENCY_BOUNDS, limit))
    low = LATENCY_BOUNDS[place - 1] if place else 0.0
    high = LATENCY_BOUNDS[place]
    surely = sum(time > high for time in times)
    perhaps = sum(time > low for time in times)
    assert surely - 1e-9 <= tally.slower_than(limit) <= perhaps + 1e-9


@given(st.lists(seconds, max_size=50), st.lists(seconds, max_size=50))
def test_since_is_what_came_in_between(before: list[float], after: list[float]) -> None:
    earlier = Tally(
        "m", "1", answered=len(before), took=sum(before), latencies=counted(before),
        predicted=len(before), predictions=tuple(before), in_flight=9,
    )  # fmt: skip
    both = [*before, *after]
    now = Tally(
        "m", "1", answered=len(both), took=sum(before) + sum(after), latencies=counted(both),
        predicted=len(both), predictions=tuple(both), in_flight=2, last=7.0,
    )  # fmt: skip
    found = now.since(earlier)
    assert found.latencies == counted(after)
    assert (found.answered, found.ended) == (len(after), len(after))
    assert found.took == pytest.approx(sum(after))
    assert found.predictions == tuple(after)
    assert (found.in_flight, found.last) == (2, 7.0)


def test_since_a_server_that_began_anew_is_never_negative() -> None:
    earlier = Tally("m", "1", answered=100, rows=100, predicted=50)
    found = Tally("m", "1", answered=3, rows=4).since(earlier)
    assert (found.answered, found.rows, found.predictions) == (0, 0, ())
