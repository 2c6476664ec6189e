"""Laws of the population stability index and its chance level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.serving.traffic.shifting import shift_of

_VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


@given(_VALUES)
def test_what_is_the_same_does_not_lie_apart(values: list[float]) -> None:
    assert shift_of(values, list(reversed(values)), 0.01).index == pytest.approx(0.0, abs=1e-9)


@given(_VALUES, _VALUES)
def test_an_index_is_never_negative(first: list[float], second: list[float]) -> None:
    shift = shift_of(first, second, 0.01)
    assert shift.index >= 0
    assert shift.chance >= 0


@given(st.lists(st.integers(0, 2), min_size=1), st.permutations("abc"))
def test_classes_count_by_their_names(places: list[int], names: list[str]) -> None:
    """Another order of the same classes is no shift."""
    other = [float(names.index("abc"[place])) for place in places]
    live = [float(place) for place in places]
    assert shift_of(live, other, 0.01, ("abc", names)).index == pytest.approx(0.0, abs=1e-9)


def test_the_index_of_two_known_distributions() -> None:
    """0.5/0.5 against 0.75/0.25: (0.25) ln 1.5 - (0.25) ln 0.5."""
    live, other = [0.0, 1.0] * 5000, [0.0, 0.0, 0.0, 1.0] * 2500
    expected = 0.25 * np.log(1.5) - 0.25 * np.log(0.5)
    assert shift_of(live, other, 0.01, ("ab", "ab")).index == pytest.approx(expected, rel=0.01)


def test_a_trifle_of_difference_between_equal_answers_is_no_shift() -> None:
    """A tree's few values, and the same tree's after another training."""
    rng = np.random.default_rng(2)
    leaves = np.array([1.0, 2.0, 5.0, 9.0])
    live = leaves[rng.integers(0, 4, 2000)]
    other = leaves[rng.integers(0, 4, 2000)] + 0.01
    shift = shift_of(live.tolist(), other.tolist(), 0.01)
    assert shift.index < 0.02


def test_a_class_that_comes_up_only_now_is_seen() -> None:
    live, other = [0.0] * 900 + [1.0] * 100, [0.0] * 500 + [2.0] * 500
    shift = shift_of(live, other, 0.001, (("a", "b"), ("a", "b", "c")))
    assert shift.index > 1 > shift.chance


@pytest.mark.parametrize("clusters", [1.0, 16.0])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_equal_distributions_exceed_chance_as_seldom_as_was_asked(
    kind: str, clusters: float
) -> None:
    """Rows of one request may all be alike: then they count as one."""
    rng = np.random.default_rng(3)
    classes = (tuple("abcd"), tuple("abcd")) if kind == "classes" else ((), ())

    def draw(size: int) -> list[float]:
        if kind == "classes":
            values = rng.choice(4, size, p=[0.6, 0.25, 0.1, 0.05]).astype(float)
        else:
            values = rng.normal(size=size)
        return [float(value) for value in np.repeat(values, int(clusters))]

    exceeded = 0
    for _ in range(200):
        shift = shift_of(draw(800), draw(200), 0.05, classes, (clusters, clusters))
        exceeded += shift.index > shift.chance
    assert exceeded / 200 < 0.1
