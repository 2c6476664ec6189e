"""Single curves in braille."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.curves import Column
from mlbench.tui.draw.curve import braille, resized

floats = st.floats(allow_nan=True, allow_infinity=True, width=32)
GAP = (math.nan, math.nan, math.nan)


def points(*values: float | None) -> list[Column | None]:
    return [None if value is None else (value, value, value) for value in values]


@given(st.lists(floats | st.none(), max_size=300), st.integers(1, 60), st.integers(1, 8))
def test_a_curve_fills_its_box_and_nothing_else(
    values: list[float | None], width: int, height: int
) -> None:
    rows = braille(points(*values), width, height)
    assert [len(row) for row in rows] == [width] * height
    drawn = {cell for row in rows for cell in row} - {" "}
    assert bool(drawn) == any(v is not None and math.isfinite(v) for v in values)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=600), st.integers(1, 200))
def test_a_resized_curve_keeps_both_extremes_and_its_ends(values: list[float], width: int) -> None:
    found = resized(points(*values), width)
    known = [column for column in found if column is not None]
    assert len(found) == width
    assert min(low for low, _, _ in known) == min(values)
    assert max(high for _, high, _ in known) == max(values)
    assert all(low <= mean * (1 + 1e-9) or low <= mean for low, _, mean in known)
    assert found[0] is not None
    assert found[-1] is not None or len(values) == 1


def test_a_rising_line_runs_from_bottom_left_to_top_right() -> None:
    rows = braille(points(*range(8)), 4, 2)
    assert rows[1][0] != " "
    assert rows[0][-1] != " "
    assert rows[0][0] == rows[1][-1] == " "


def test_a_line_leads_over_steps_without_points_and_stops_at_nan() -> None:
    assert " " not in braille(points(1.0, *[None] * 18, 1.0), 10, 1)[0]
    row = braille([*points(1.0, 1.0), *[GAP] * 16, *points(1.0, 1.0)], 10, 1)[0]
    assert row.strip() != ""
    assert row[3:7] == "    "
