"""The pyramid beside the step logs: that it says what they say, and is never believed too long."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.curves import Column
from mlbench.inside.steplog import NAMES_SUFFIX, POINT, RECORDS_SUFFIX
from mlbench.inside.stepwriter import StepWriter
from mlbench.tracking.columns import BLOCK, columns_of
from mlbench.tracking.curves import CurveReader
from mlbench.tracking.levels import write_pyramid
from mlbench.tracking.pyramid import WORTH, build_pyramid, summary_of
from mlbench.tracking.pyramid_file import PYRAMID_NAME, is_current, read_directory
from mlbench.tracking.steps import RECORD_TYPE, StepReader
from tests.series import curve_in, series_in

MANY = WORTH + 1000
values = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308])


def write_log(folder: Path, names: list[str], points: list[tuple[int, int, float]]) -> None:
    """One process's log: name ids, steps and values in the order in which they were logged."""
    records = np.zeros(len(points), RECORD_TYPE)
    records["kind"] = POINT
    if points:
        records["name"], records["step"], records["value"] = zip(*points, strict=True)
    records["at"] = np.arange(len(points))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"steps-1-1{NAMES_SUFFIX}").write_text("".join(f"{name}\n" for name in names))
    records.tofile(folder / f"steps-1-1{RECORDS_SUFFIX}")


def write_many(folder: Path, count: int = MANY) -> None:
    """More points than are read for their own sake: a falling loss, and an accuracy between."""
    loss = [(n % 2, n // 2, math.exp(-n / count) + 0.1 * math.sin(n)) for n in range(count)]
    write_log(folder, ["loss", "accuracy"], loss)


@contextmanager
def pyramid_of(names: list[str], points: list[tuple[int, int, float]]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_log(folder, names, points)
        reader = StepReader(folder)
        reader.gather()
        write_pyramid(folder, reader)
        yield folder


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 2000), values), max_size=400))
def test_summaries_are_the_same_from_the_pyramid_and_from_the_logs(
    points: list[tuple[int, int, float]],
) -> None:
    with pyramid_of(["a", "b", "c"], points) as folder:
        from_pyramid = summary_of(folder)
        directory = read_directory(folder)
        assert directory is not None
        assert is_current(folder, directory)
        (folder / PYRAMID_NAME).unlink()
        # NaN is no equal of NaN, but is spelt like it.
        assert repr(from_pyramid) == repr(summary_of(folder))


@given(
    st.lists(st.tuples(st.integers(0, 1), values), min_size=1, max_size=300),
    st.integers(1, 40),
    st.data(),
)
def test_a_curve_covers_exactly_its_window_whichever_way_it_is_read(
    logged: list[tuple[int, float]], width: int, data: st.DataObject
) -> None:
    points = [(name, step, value) for step, (name, value) in enumerate(logged) for _ in range(3)]
    first = data.draw(st.integers(0, len(logged) - 1))
    last = data.draw(st.integers(first, len(logged) - 1))
    inside = [v for n, s, v in points if n == 0 and first <= s <= last and math.isfinite(v)]
    with pyramid_of(["a", "b"], points) as folder:
        if all(name for name, _, _ in points):
            return
        curve = curve_in(folder, "a", width, first, last)
        assert len(curve.columns) == width
        known = [c for c in curve.columns if c is not None and math.isfinite(c[0])]
        assert min((c[0] for c in known), default=None) == min(inside, default=None)
        assert max((c[1] for c in known), default=None) == max(inside, default=None)
        assert all(low <= mean <= high for low, high, mean in known)
        (folder / PYRAMID_NAME).unlink()
        assert repr(curve) == repr(curve_in(folder, "a", width, first, last))


def test_a_long_curve_keeps_every_extreme_and_each_within_a_column(tmp_path: Path) -> None:
    count = 64 * BLOCK * 40
    values = np.zeros(count)
    spikes = {777: 5.0, count // 3: -7.0, count - 2: 3.0}
    for step, value in spikes.items():
        values[step] = value
    write_log(tmp_path, ["a"], [(0, step, value) for step, value in enumerate(values.tolist())])
    build_pyramid(tmp_path)
    (tmp_path / f"steps-1-1{NAMES_SUFFIX}").unlink()
    curve = CurveReader(tmp_path).curves(100)[0]
    for step, value in spikes.items():
        place = round(step * 99 / (count - 1))
        near = [c for c in curve.columns[max(0, place - 1) : place + 2] if c is not None]
        assert value in {end for column in near for end in column[:2]}
    flat = [column for column in curve.columns if column == (0.0, 0.0, 0.0)]
    assert len(flat) >= 97


def test_a_window_of_few_points_shows_them_as_they_are(tmp_path: Path) -> None:
    write_many(tmp_path)
    build_pyramid(tmp_path)
    from_pyramid = curve_in(tmp_path, "accuracy", 50, 30_000, 30_049)
    (tmp_path / PYRAMID_NAME).unlink()
    series = series_in(tmp_path)["accuracy"]
    expected: list[Column] = [(v, v, v) for v in series.values[30_000:30_050].tolist()]
    assert list(from_pyramid.columns) == expected
    assert from_pyramid == curve_in(tmp_path, "accuracy", 50, 30_000, 30_049)


def test_a_pyramid_is_written_only_where_it_is_worth_it_and_once(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    write_many(few, 100)
    build_pyramid(few)
    build_pyramid(tmp_path / "nowhere")
    assert not (few / PYRAMID_NAME).exists()
    write_many(many)
    build_pyramid(many)
    made = (many / PYRAMID_NAME).stat()
    build_pyramid(many)
    assert (many / PYRAMID_NAME).stat().st_ino == made.st_ino
    assert [path.name for path in many.iterdir() if path.name.startswith(".")] == []


def test_what_is_logged_later_makes_it_stale(tmp_path: Path) -> None:
    write_many(tmp_path)
    # As a writer leaves it: with room for more.
    with (tmp_path / f"steps-1-1{RECORDS_SUFFIX}").open("ab") as log:
        log.write(bytes(3200))
    build_pyramid(tmp_path)
    reader = CurveReader(tmp_path)
    before = reader.summaries()["loss"]
    writer = StepWriter(str(tmp_path))
    writer.add("loss", 99.0, 10**6, 1e9)
    writer.close()
    after = reader.summaries()["loss"]
    assert (after.count, after.last) == (before.count + 1, 99.0)
    assert summary_of(tmp_path)["loss"] == after
    build_pyramid(tmp_path)
    directory = read_directory(tmp_path)
    assert directory is not None
    assert len(directory.logs) == 2
    with (tmp_path / f"steps-1-1{RECORDS_SUFFIX}").open("r+b") as log:
        log.seek(directory.logs[f"steps-1-1{RECORDS_SUFFIX}"])
        record = np.array([(10**7, 7.0, 1e9, 0, POINT)], RECORD_TYPE)
        log.write(record.tobytes())
    assert summary_of(tmp_path)["loss"].last == 7.0


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.3, 0.6, 0.99])
def test_a_flipped_byte_is_never_drawn_and_the_pyramid_made_anew(
    tmp_path: Path, share: float
) -> None:
    write_many(tmp_path)
    build_pyramid(tmp_path)
    pyramid = tmp_path / PYRAMID_NAME
    whole = pyramid.read_bytes()
    expected = [curve_in(tmp_path, "loss", 60, *window) for window in [(), (100, 20_000)]]
    at = int(len(whole) * share)
    pyramid.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
    for curve, window in zip(expected, [(), (100, 20_000)], strict=True):
        found = curve_in(tmp_path, "loss", 60, *window)
        assert (found.low, found.high, found.last) == (curve.low, curve.high, curve.last)
        columns = [column for column in found.columns if column is not None]
        assert len(columns) == 60
        assert all(curve.low <= column[0] <= column[1] <= curve.high for column in columns)
    pyramid.write_bytes(whole[:at])
    reader = CurveReader(tmp_path)
    reader.curves(60)
    reader.curves(60)
    assert pyramid.read_bytes() == whole


def test_points_of_many_processes_are_drawn_from_the_levels_or_all_the_logs(
    tmp_path: Path,
) -> None:
    write_many(tmp_path)
    other = StepWriter(str(tmp_path))
    for step in range(500):
        other.add("loss", 2.0 + step, step * 7, 2e9)
    other.close()
    build_pyramid(tmp_path)
    directory = read_directory(tmp_path)
    assert directory is not None
    places = {metric.name: metric.places for metric in directory.metrics}
    assert places["loss"] is None
    assert places["accuracy"] is not None
    zoomed = curve_in(tmp_path, "loss", 30, 0, 29)
    assert [column[1] for column in zoomed.columns if column][::7] == [2.0, 3.0, 4.0, 5.0, 6.0]
    assert curve_in(tmp_path, "loss", 30).high == 501.0


def test_columns_without_points_are_told_from_gaps() -> None:
    from mlbench.tracking.columns import single_points

    steps = np.array([0, 5, 10], np.int64)
    points = single_points(steps, np.array([1.0, math.nan, 3.0]))
    columns = columns_of(points, 0, 10, 11)
    assert columns[0] == (1.0, 1.0, 1.0)
    assert columns[5] is not None
    assert math.isnan(columns[5][0])
    assert columns[10] == (3.0, 3.0, 3.0)
    assert {columns[place] for place in (1, 2, 3, 4, 6, 7, 8, 9)} == {None}
