"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.errors import UsageError
from mlbench.domain.moments import moment_in

NOW = datetime(2026, 11, 23, 9, 15, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", "2026-11-20T00:00:00.000Z"),
        ("2026-11-20 14:00", "2026-11-20T14:00:00.000Z"),
        ("2026-11-20T14:00:07.125Z", "2026-11-20T14:00:07.125Z"),
        ("2026-11-20T14:00:07+02:00", "2026-11-20T12:00:07.000Z"),
        (" 2d ", "2026-11-21T09:15:00.000Z"),
        ("90m ago", "2026-11-23T07:45:00.000Z"),
        ("0.5h", "2026-11-23T08:45:00.000Z"),
        ("9999w", "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_moment_is_understood(text: str, moment: str) -> None:
    assert moment_in(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "14:00", "2 days", "-2d", "d"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no time such as 2026-11-23, .* 2d for two days ago"):
        moment_in(text, NOW)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)),
    st.timedeltas(timedelta(hours=-12), timedelta(hours=12)),
)
def test_it_is_the_same_moment_to_the_millisecond_in_every_zone(
    naive: datetime, offset: timedelta
) -> None:
    """A moment that the ledger itself wrote is found by its own text."""
    moment = naive.replace(tzinfo=UTC)
    written = moment_in(moment.isoformat(), NOW)
    assert moment_in(written, NOW) == written
    elsewhere = moment.astimezone(timezone(timedelta(minutes=offset // timedelta(minutes=1))))
    assert moment_in(elsewhere.isoformat(), NOW) == written
    assert datetime.fromisoformat(written) <= moment
    assert moment - datetime.fromisoformat(written) < timedelta(milliseconds=1)
