"""Laws of sharing requests among versions."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.serving.traffic.choosing import chooser

_BEGIN = st.integers(0, 2**64 - 1)
_WEIGHTS = st.dictionaries(st.sampled_from("12345"), st.floats(0.001, 1.0), min_size=1, max_size=4)


@given(_WEIGHTS, _BEGIN)
def test_each_version_gets_its_share_within_one_over_the_root_of_n_at_every_n(
    weights: dict[str, float], begin: int
) -> None:
    choose = chooser(weights, begin)
    total = sum(weights.values())
    counts: Counter[str] = Counter()
    for number in range(1, 400):
        counts[choose()] += 1
        for version, weight in weights.items():
            assert abs(counts[version] / number - weight / total) <= 1 / number**0.5


@given(_BEGIN, st.integers(2, 7))
def test_a_client_that_sends_in_turns_is_shared_too(begin: int, period: int) -> None:
    """Every second, third … request may be of one kind: that kind is shared as all are."""
    choose = chooser({"live": 0.75, "canary": 0.25}, begin)
    picked = [choose() for _ in range(400 * period)]
    for first in range(period):
        mine = picked[first::period]
        assert abs(mine.count("canary") / len(mine) - 0.25) <= 1 / len(mine) ** 0.5


def test_a_version_without_a_share_gets_nothing() -> None:
    choose = chooser({"1": 1.0, "2": 0.0})
    assert {choose() for _ in range(100)} == {"1"}


def test_choosers_don_t_move_in_step() -> None:
    weights = {"1": 0.5, "2": 0.5}
    picks = {tuple(islice(iter(chooser(weights), None), 64)) for _ in range(8)}
    assert len(picks) > 1


@pytest.mark.parametrize("weights", [{}, {"1": 0.0}])
def test_no_share_at_all_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no version has a share"):
        chooser(weights)
