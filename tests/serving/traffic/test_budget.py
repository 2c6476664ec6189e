"""How much is copied, on simulated answers whose latency copying changes or does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.serving import ShadowSpec
from mlbench.domain.tally import LATENCY_BOUNDS, Tally
from mlbench.serving.traffic.budget import Budget, interval_of


class Server:
    """A live version under so many requests a second, slower by what is copied."""

    def __init__(self, budget: Budget, rate: int, cost: float, seed: int = 1) -> None:
        self.budget, self.rate, self.cost = budget, rate, cost
        self.rng = np.random.default_rng(seed)
        self.tally = Tally("m", "1")
        self.now = 0.0
        self.copied: list[float] = []

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            copying = self.budget.copying
            self.copied.append(copying)
            took = self.rng.lognormal(-6, 0.4, self.rate // 4) * (1 + self.cost * copying)
            counts = np.bincount(
                np.searchsorted(LATENCY_BOUNDS, took), minlength=len(LATENCY_BOUNDS) + 1
            )
            latencies = tuple((np.array(self.tally.latencies) + counts).tolist())
            answered = self.tally.answered + len(took)
            self.tally = Tally("m", "1", answered=answered, latencies=latencies)
            self.budget.tick(self.now, self.tally)


def test_what_costs_nothing_is_copied_as_far_as_is_allowed() -> None:
    budget = Budget(ShadowSpec(share=0.5))
    server = Server(budget, 4000, 0.0)
    server.run(120)
    assert budget.share == 0.5
    assert set(server.copied) == {0.0, 0.5}
    assert budget.p99_with == pytest.approx(budget.p99_without, rel=0.1)


def test_what_costs_too_much_is_copied_less_until_it_costs_what_it_may() -> None:
    """All of it makes answers twice as slow; a tenth may be added, so a tenth may be copied."""
    budget = Budget(ShadowSpec(share=1.0, p99_budget=0.1))
    server = Server(budget, 4000, 1.0)
    server.run(15)
    assert budget.share <= 0.5
    assert "copying made the live p99" in budget.why or budget.share <= 0.25
    server.run(240)
    assert budget.share <= 0.25
    assert 0 < np.mean(server.copied[-400:]) <= 0.13


def test_it_grows_again_when_copying_costs_nothing_any_more() -> None:
    budget = Budget(ShadowSpec(share=1.0, p99_budget=0.1))
    server = Server(budget, 4000, 2.0)
    server.run(120)
    assert budget.share <= 0.25
    server.cost = 0.0
    server.run(240)
    assert budget.share == 1.0


def test_with_little_traffic_all_is_copied_and_nothing_measured() -> None:
    budget = Budget(ShadowSpec(share=1.0))
    server = Server(budget, 8, 5.0)
    server.run(60)
    assert set(server.copied) == {1.0}
    assert budget.p99_with is None
    assert "too little traffic" in budget.why


def test_a_share_of_nothing_copies_nothing() -> None:
    budget = Budget(ShadowSpec(share=0.0))
    server = Server(budget, 4000, 0.0)
    server.run(30)
    assert set(server.copied) == {0.0}


@given(st.lists(st.floats(0.1, 10.0), min_size=3, max_size=15))
def test_an_interval_holds_the_mean_of_its_ratios(ratios: list[float]) -> None:
    interval = interval_of(ratios)
    assert interval is not None
    mean = float(np.exp(np.mean(np.log(ratios))))
    assert interval[0] <= mean * (1 + 1e-9)
    assert interval[1] >= mean * (1 - 1e-9)


def test_an_interval_of_ratios_by_chance_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(1000):
        interval = interval_of(np.exp(rng.normal(0.1, 0.2, 7)).tolist())
        held += interval is not None and interval[0] <= np.exp(0.1) <= interval[1]
    assert 930 <= held <= 970
    assert interval_of([1.0, 1.0]) is None
