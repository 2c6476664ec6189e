"""Curves as a screen asks for them, again and again, while the stage logs."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mlbench.inside.stepwriter import StepWriter
from mlbench.tracking.curves import CurveReader
from mlbench.tracking.pyramid import build_pyramid, summary_of
from mlbench.tracking.pyramid_file import PYRAMID_NAME
from tests.series import curve_in, series_in
from tests.tracking.test_pyramid import write_many


def test_what_did_not_change_is_the_same_curve_and_what_did_has_grown(tmp_path: Path) -> None:
    reader = CurveReader(tmp_path / "stage")
    assert reader.curves(10) == ()
    (tmp_path / "stage").mkdir()
    writer = StepWriter(str(tmp_path / "stage"))
    writer.add("loss", 0.5, 0, 1.0)
    writer.add("accuracy", 0.25, 0, 1.0)
    first = reader.curves(10)
    assert [curve.name for curve in first] == ["loss", "accuracy"]
    writer.add("loss", 0.25, 90, 2.0)
    writer.close()
    loss, accuracy = reader.curves(10)
    assert accuracy is first[1]
    assert (loss.first_step, loss.last_step, loss.last, loss.low_step) == (0, 90, 0.25, 90)
    assert loss.columns == ((0.5, 0.5, 0.5), *[None] * 8, (0.25, 0.25, 0.25))
    assert reader.curves(10)[0] is loss
    (zoomed,) = reader.curves(3, names=["loss", "nothing"], first_step=80, last_step=100)
    assert zoomed.columns == (None, (0.25, 0.25, 0.25), None)
    assert (zoomed.first_step, zoomed.last_step, zoomed.high) == (80, 100, 0.5)


def test_files_that_are_followed_are_curves_until_the_log_has_them(tmp_path: Path) -> None:
    points: dict[str, list[tuple[int, float]]] = {"loss": [(2, 0.25), (1, 0.5)], "empty": []}
    reader = CurveReader(tmp_path, lambda: points)
    (loss,) = reader.curves(2)
    assert loss.columns == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert reader.curves(2)[0] is loss
    points["loss"] = [*points["loss"], (3, 0.125)]
    assert reader.summaries()["loss"].count == 3
    writer = StepWriter(str(tmp_path))
    writer.add("loss", 9.0, 0, 1.0)
    writer.close()
    assert reader.summaries()["loss"].last == 9.0


def test_a_file_that_shrank_is_drawn_anew(tmp_path: Path) -> None:
    points = {"loss": [(0, 1.0), (1, 2.0)]}
    reader = CurveReader(tmp_path, lambda: points)
    assert reader.curves(2)[0].last == 2.0
    points["loss"] = [(0, 1.0), (1, 3.0)]
    assert reader.curves(2)[0].last == 3.0
    del points["loss"]
    assert reader.curves(2) == ()


steps = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9)


@given(st.lists(steps, min_size=1, max_size=30), st.integers(1, 20))
def test_any_steps_fit_into_any_width(logged: list[int], width: int) -> None:
    points = {"loss": [(step, 1.0) for step in logged]}
    (curve,) = CurveReader(Path("nowhere"), lambda: points).curves(width)
    assert len(curve.columns) == width
    assert (curve.first_step, curve.last_step) == (min(logged), max(logged))
    assert curve.columns[0] == (1.0, 1.0, 1.0)
    assert {*curve.columns} <= {None, (1.0, 1.0, 1.0)}


def test_a_stage_that_goes_on_is_read_from_its_logs_however_many_points(tmp_path: Path) -> None:
    write_many(tmp_path)
    build_pyramid(tmp_path)
    reader = CurveReader(tmp_path)
    before = reader.curves(20, names=["loss"])[0]
    assert before.columns == curve_in(tmp_path, "loss", 20).columns
    writer = StepWriter(str(tmp_path))
    for step in range(1000):
        writer.add("loss", 5.0, 10**6 + step, 1e9 + step)
        if step % 100 == 0:
            assert reader.curves(20, names=["loss"])[0].last_step == 10**6 + step
    writer.close()
    # The looks at what no more is added to have it written anew.
    for _ in range(2):
        reader.curves(20)
    series = series_in(tmp_path)["loss"]
    assert (tmp_path / PYRAMID_NAME).exists()
    assert summary_of(tmp_path)["loss"].count == len(series.steps)
    assert summary_of(tmp_path)["loss"].last == series.last == 5.0
