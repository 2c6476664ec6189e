"""Numbers, spans of time and sizes as people read and write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.phrases import ago, bytes_in, clock, duration, number, plural, size, took


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.98611, "0.9861"),
        (12.0, "12"),
        (12345678.0, "12345678"),
        (12345.6, "12346"),
        (5.76e-7, "5.76e-7"),
        (3.21987e12, "3.22e12"),
        (10**12, "1000000000000"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_have_few_digits_and_whole_ones_all(value: float, said: str) -> None:
    assert number(value) == said


@given(st.floats(-1e300, 1e300))
def test_a_number_that_is_said_is_near_the_number(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=1e-3)


def test_spans_of_time() -> None:
    assert [duration(v) for v in (0.24, 6.1, 42.3, 65.0)] == ["0.2 s", "6.1 s", "42 s", "1:05"]
    assert [took(v) for v in (0.0, 0.04, 0.06)] == ["", "", "0.1 s"]
    assert (clock(14.9), clock(7390.0)) == ("0:14", "2:03:10")
    assert [ago(0, v) for v in (1, 12, 239.9, 7200, 86400, 200000)] == [
        *("now", "12 s ago", "3 min ago", "2 h ago", "1 day ago", "2 days ago")
    ]
    assert (plural(1, "run"), plural(0, "run")) == ("1 run", "0 runs")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0", 0),
        ("20GB", 20_000_000_000),
        (" 1.5 GiB", 1_610_612_736),
        ("512mb", 512_000_000),
        ("7 B", 7),
        ("2k", 2000),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, wanted: int) -> None:
    assert bytes_in(text) == wanted


@pytest.mark.parametrize("text", ["", "much", "-1", "3 apples", "1e9", "1iB", "16"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert bytes_in(text) is None


@given(st.integers(0, 10**15))
def test_a_size_that_is_said_is_read_as_nearly_the_same(count: int) -> None:
    read = bytes_in(size(count))
    assert read is not None
    assert read == pytest.approx(count, rel=0.06)
