"""What is kept of servers' counters: rates and percentiles of the last moments."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbench.domain.tally import BATCH_BOUNDS, LATENCY_BOUNDS, Tally
from mlbench.tui.serving_history import (
    KEPT_SECONDS,
    WINDOW_SECONDS,
    Meter,
    Place,
    Point,
    Trail,
    batches_within,
    keep,
)

WHOLE: Place = ("staging", "", "")
FIRST: Place = ("staging", "digits", "1")


def tally(version: str, answered: int, *, failed: int = 0, bucket: int = 40) -> Tally:
    latencies = [0] * (len(LATENCY_BOUNDS) + 1)
    latencies[bucket] = answered
    batches = [0] * (len(BATCH_BOUNDS) + 1)
    batches[0] = answered
    return Tally(
        "digits",
        version,
        answered=answered,
        failed=failed,
        rows=answered,
        calls=answered,
        latencies=tuple(latencies),
        batches=tuple(batches),
    )


def of_staging(*tallies: Tally) -> list[tuple[str, Tally]]:
    return [("staging", item) for item in tallies]


def test_the_first_look_tells_nothing_and_the_next_what_came_since() -> None:
    meter = Meter()
    assert meter.take(10.0, of_staging(tally("1", 5000))) == {}
    point = meter.take(11.0, of_staging(tally("1", 5200, failed=10)))[FIRST]
    assert point.rate == pytest.approx(210)
    assert point.failed == pytest.approx(10)
    assert point.batches[0] == 200
    assert point.p99 is not None
    assert LATENCY_BOUNDS[39] <= point.p99 <= LATENCY_BOUNDS[40]


def test_a_point_tells_of_the_window_alone() -> None:
    meter = Meter()
    count = 0
    for step in range(40):
        count += 1000 if step < 20 else 10
        points = meter.take(step / 4, of_staging(tally("1", count)))
    assert points[FIRST].rate == pytest.approx(10 * 4)


def test_a_server_that_comes_back_with_its_past_makes_no_burst() -> None:
    meter = Meter()
    meter.take(1.0, [])
    assert meter.take(1.5, of_staging(tally("1", 90_000)))[FIRST].rate == 0
    assert meter.take(2.5, of_staging(tally("1", 90_010)))[FIRST].rate > 0


def test_what_is_down_is_forgotten() -> None:
    trails: dict[Place, Trail] = {}
    keep(trails, {FIRST: Point(1.0), WHOLE: Point(1.0)})
    keep(trails, {WHOLE: Point(2.0)})
    assert set(trails) == {WHOLE}
    assert [point.at for point in trails[WHOLE].points] == [1.0, 2.0]


def test_a_trail_looks_back_so_far_and_no_farther() -> None:
    trail = Trail()
    for second in range(2 * int(KEPT_SECONDS)):
        trail.add(Point(float(second)))
    assert trail.points[0].at == pytest.approx(trail.points[-1].at - KEPT_SECONDS)


def test_batches_are_summed_over_the_last_moments() -> None:
    points = [Point(float(at), batches=(1, at)) for at in range(10)]
    assert batches_within(points, 3.0) == (3, 7 + 8 + 9)
    assert batches_within([], 3.0) == ()


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 500), st.floats(0.1, 3.0)),
        min_size=2,
        max_size=12,
    )
)
def test_an_environment_has_what_its_versions_have_together(
    steps: list[tuple[int, int, float]],
) -> None:
    meter, at, one, other = Meter(), 0.0, 0, 0
    for more, even_more, seconds in steps:
        at, one, other = at + seconds, one + more, other + even_more
        points = meter.take(at, of_staging(tally("1", one), tally("2", other, bucket=60)))
    versions = [points[FIRST], points["staging", "digits", "2"]]
    whole = points[WHOLE]
    assert whole.rate == pytest.approx(sum(item.rate for item in versions))
    assert sum(whole.batches) == sum(sum(item.batches) for item in versions)
    # The window is as long as was asked for, or as what is known; never a pause longer.
    assert whole.rate * max(WINDOW_SECONDS + 3.0, 0.1) >= steps[-1][0] + steps[-1][1] - 1e-6
    slowest = [item.p99 for item in versions if item.p99 is not None]
    if slowest and whole.p99 is not None:
        assert whole.p99 <= max(slowest) * 1.13
