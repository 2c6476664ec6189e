"""The step logs of a stage's folder as their readers see them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.inside.steplog import NAMES_SUFFIX, POINT, RECORD, RECORDS_SUFFIX
from mlbench.inside.stepwriter import StepWriter
from mlbench.tracking.pyramid import last_values
from mlbench.tracking.steps import StepReader
from tests.series import Series, series_in, series_of

Point = tuple[str, int, float]

names = st.sampled_from(["loss", "val/loss", "größe µ", ""]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=8
)
steps = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 5)
points = st.lists(st.tuples(names, steps, st.floats()), max_size=40)


@contextmanager
def _writer() -> Iterator[StepWriter]:
    with tempfile.TemporaryDirectory() as folder:
        writer = StepWriter(folder)
        yield writer
        writer.close()


def _by_name(logged: list[Point]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for name, step, value in logged:
        found.setdefault(name, []).append((step, value))
    return {name: sorted(rows, key=lambda row: row[0]) for name, rows in found.items()}


def _comparable(read: dict[str, Series]) -> dict[str, list[tuple[int, str]]]:
    """Series with their values in hexadecimal, so that NaN equals NaN and -0.0 isn't 0.0."""
    return {
        name: [
            (step, value.hex())
            for step, value in zip(series.steps.tolist(), series.values.tolist(), strict=True)
        ]
        for name, series in read.items()
    }


@given(points)
def test_what_was_logged_is_read_by_step_and_then_by_time(logged: list[Point]) -> None:
    with _writer() as writer:
        for at, (name, step, value) in enumerate(logged):
            writer.add(name, value, step, float(at))
        read = series_in(Path(writer.folder))
        last = last_values(Path(writer.folder))
    expected = {
        name: [(step, value.hex()) for step, value in rows]
        for name, rows in _by_name(logged).items()
    }
    assert _comparable(read) == expected
    assert list(read) == list(expected)
    assert {name: value.hex() for name, value in last.items()} == {
        name: rows[-1][1] for name, rows in expected.items()
    }


@given(points)
def test_extremes_leave_nan_out_and_name_their_first_step(logged: list[Point]) -> None:
    with _writer() as writer:
        for at, (name, step, value) in enumerate(logged):
            writer.add(name, value, step, float(at))
        read = series_in(Path(writer.folder))
    for name, rows in _by_name(logged).items():
        series = read[name]
        numbers = [row for row in rows if not math.isnan(row[1])]
        if not numbers:
            assert math.isnan(series.min)
            assert math.isnan(series.max)
            continue
        assert series.min == min(value for _, value in numbers)
        assert series.max == max(value for _, value in numbers)
        assert series.min_step == min(step for step, value in numbers if value == series.min)
        assert series.max_step == min(step for step, value in numbers if value == series.max)


@given(st.lists(points, max_size=5), st.booleans())
def test_reading_bit_by_bit_gives_what_reading_at_once_gives(
    batches: list[list[Point]], new_log_each: bool
) -> None:
    with _writer() as writer:
        reader = StepReader(Path(writer.folder))
        at = 0.0
        for batch in batches:
            for name, step, value in batch:
                at += 1
                writer.add(name, value, step, at)
            bit_by_bit = series_of(reader)
            assert _comparable(bit_by_bit) == _comparable(series_in(Path(writer.folder)))
            if new_log_each:
                writer.close()


@given(points, st.data())
def test_several_processes_are_merged(logged: list[Point], data: st.DataObject) -> None:
    with _writer() as writer:
        others = [writer, StepWriter(writer.folder), StepWriter(writer.folder)]
        for at, (name, step, value) in enumerate(logged):
            data.draw(st.sampled_from(others)).add(name, value, step, float(at))
        read = series_in(Path(writer.folder))
        for other in others:
            other.close()
    assert _comparable(read) == {
        name: [(step, value.hex()) for step, value in rows]
        for name, rows in _by_name(logged).items()
    }


@given(points, st.lists(st.integers(1, 7), max_size=6))
def test_later_points_leave_earlier_series_as_they_were(
    logged: list[Point], sizes: list[int]
) -> None:
    with _writer() as writer:
        reader = StepReader(Path(writer.folder))
        taken: list[tuple[dict[str, Series], dict[str, list[tuple[int, str]]]]] = []
        for at, (name, step, value) in enumerate(logged):
            writer.add(name, value, step, float(at))
            if at in sizes:
                read = series_of(reader)
                taken.append((read, _comparable(read)))
        series_of(reader)
        for read, as_it_was in taken:
            assert _comparable(read) == as_it_was


def test_a_long_log_is_read_in_blocks_and_loses_nothing(tmp_path: Path) -> None:
    count = 100_000
    records = b"".join(RECORD.pack(n, n * 0.5, 1.0, n % 3, POINT) for n in range(count))
    (tmp_path / f"steps-1-1{NAMES_SUFFIX}").write_bytes(b"a\nb\nc\n")
    (tmp_path / f"steps-1-1{RECORDS_SUFFIX}").write_bytes(records + bytes(50 * RECORD.size))
    read = series_in(tmp_path)
    assert sorted(step for s in read.values() for step in s.steps.tolist()) == list(range(count))
    assert read["b"].steps[:3].tolist() == [1, 4, 7]
    assert (read["c"].values == read["c"].steps * 0.5).all()


def test_a_reader_adds_to_what_it_has_gathered(tmp_path: Path) -> None:
    writer = StepWriter(str(tmp_path))
    writer.add("loss", 0.5, 0, 1.0)
    reader = StepReader(tmp_path)
    gathered = reader.gather()["loss"]
    writer.add("loss", 0.25, 1, 2.0)
    writer.close()
    assert reader.gather()["loss"] is gathered
    assert series_of(reader)["loss"].values.tolist() == [0.5, 0.25]


def test_a_folder_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    reader = StepReader(tmp_path / "stage")
    assert series_of(reader) == {}
    assert last_values(tmp_path / "stage") == {}
    (tmp_path / "stage").mkdir()
    writer = StepWriter(str(tmp_path / "stage"))
    writer.add("loss", 0.5, 0, 1.0)
    writer.close()
    assert list(series_of(reader)) == ["loss"]


def test_what_was_read_stays_when_the_file_goes(tmp_path: Path) -> None:
    writer = StepWriter(str(tmp_path))
    writer.add("loss", 0.5, 0, 1.0)
    writer.close()
    reader = StepReader(tmp_path)
    series_of(reader)
    for file in tmp_path.iterdir():
        file.unlink()
    assert series_of(reader)["loss"].values.tolist() == [0.5]


def test_a_newline_in_a_name_becomes_a_space(tmp_path: Path) -> None:
    writer = StepWriter(str(tmp_path))
    for name in ("val\nloss", "val loss", "val\nloss", "\udc80"):
        writer.add(name, 0.5, None, 1.0)
    writer.close()
    read = series_in(tmp_path)
    assert {name: series.steps.tolist() for name, series in read.items()} == {
        "val loss": [0, 1, 2],
        "\\udc80": [0],
    }


def test_unfinished_unknown_and_unnamed_records_are_not_points(tmp_path: Path) -> None:
    log = tmp_path / f"steps-1-1{RECORDS_SUFFIX}"
    named = tmp_path / f"steps-1-1{NAMES_SUFFIX}"
    named.write_bytes(b"loss\n")
    known, unknown = RECORD.pack(1, 0.5, 1.0, 0, POINT), RECORD.pack(2, 0.5, 1.0, 0, 9)
    unnamed = RECORD.pack(4, 0.125, 1.0, 1, POINT)
    log.write_bytes(unknown + known + unnamed + unknown[:20])
    reader = StepReader(tmp_path)
    assert {name: s.steps.tolist() for name, s in series_of(reader).items()} == {"loss": [1]}
    named.write_bytes(b"loss\naccuracy\n")
    assert series_of(reader)["accuracy"].steps.tolist() == [4]


def test_json_lines_of_other_languages_are_read_to_the_last_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "steps-julia.jsonl"
    lines = [
        '{"name": "loss", "step": 1, "value": 0.5, "at": 10.0}',
        '{"name": "loss", "step": 0, "value": 1, "at": 9.0, "more": true}',
        '{"name": "accuracy", "step": 0, "value": 0.75, "at": 9}',
    ]
    torn = '{"name": "loss", "step": 2, "value": 0.25, "at": 11'
    log.write_text("\n".join([*lines, torn]))
    reader = StepReader(tmp_path)
    assert series_of(reader)["loss"].steps.tolist() == [0, 1]
    with log.open("a") as file:
        file.write(".0}\n")
    read = series_of(reader)
    assert read["loss"].steps.tolist() == [0, 1, 2]
    assert read["loss"].values.tolist() == [1.0, 0.5, 0.25]
    assert read["accuracy"].last == 0.75


@pytest.mark.parametrize(
    "line",
    [
        "",
        "loss 0.5",
        "[1, 2]",
        '{"name": "loss", "step": 1, "at": 1}',
        '{"name": 3, "step": 1, "value": 1, "at": 1}',
        '{"name": "loss", "step": 1.5, "value": 1, "at": 1}',
        '{"name": "loss", "step": 1, "value": null, "at": 1}',
        '{"name": "loss", "step": 9223372036854775808, "value": 1, "at": 1}',
        '{"name": "loss", "step": 1, "value": 1, "at": NaN}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_a_line_that_is_no_point_is_passed_over(tmp_path: Path, line: str) -> None:
    good = '{"name": "good", "step": 1, "value": 0.5, "at": 1}'
    log = tmp_path / "steps-r.jsonl"
    log.write_bytes(f"{line}\n{good}\n".encode("utf-8", "surrogateescape"))
    assert last_values(tmp_path) == {"good": 0.5}
