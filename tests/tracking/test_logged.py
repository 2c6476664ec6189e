"""What scripts said, read back whatever became of the lines."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.inside.logged import LoggedWriter
from mlbench.tracking.logged import Logged, read_logged

THREE = (
    b'{"kind": "params", "at": 1.5, "params": {"a": 1}}\n'
    b'{"kind": "tags", "at": 2.5, "tags": ["good"]}\n'
    b'{"kind": "artifact", "at": 3.5, "name": "m", "path": "artifacts/m", "size": 3}\n'
)


def _write_three(folder: Path) -> bytes:
    writer = LoggedWriter(str(folder))
    writer.params({"a": 1})
    writer.tags("good")
    writer.write("artifact", name="m", path="artifacts/m", size=3)
    writer.close()
    (file,) = folder.iterdir()
    return file.read_bytes()


def _read(data: bytes) -> Logged:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "logged-1-1.jsonl").write_bytes(data)
        return read_logged(Path(folder))


def test_nothing_said_and_no_folder_are_empty(tmp_path: Path) -> None:
    assert read_logged(tmp_path) == read_logged(tmp_path / "missing") == Logged()


def test_a_torn_tail_costs_the_torn_line_alone(tmp_path: Path) -> None:
    data = _write_three(tmp_path)
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for length in range(len(data) + 1):
        read = _read(data[:length])
        whole = sum(end <= length for end in ends)
        assert (bool(read.params), bool(read.tags), bool(read.artifacts)) == (
            whole > 0,
            whole > 1,
            whole > 2,
        )


@given(st.data())
def test_a_flipped_byte_costs_at_most_its_lines(data: st.DataObject) -> None:
    written = THREE
    place = data.draw(st.integers(0, len(written) - 1))
    flipped = bytearray(written)
    flipped[place] ^= data.draw(st.integers(1, 255))
    read = _read(bytes(flipped))
    hit = written.count(b"\n", 0, place)
    # A newline that is gone takes the next line with it.
    damaged = {hit, hit + 1} if written[place] == ord("\n") else {hit}
    assert 0 in damaged or read.params == {"a": 1}
    assert 1 in damaged or read.tags == ("good",)
    assert 2 in damaged or [kept.name for kept in read.artifacts] == ["m"]


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "params", "at": 1, "params": [1]},
        {"kind": "params", "at": 1, "params": {"a": [1], "b": {}}},
        {"kind": "params", "params": {"a": 1}},
        {"kind": "params", "at": "now", "params": {"a": 1}},
        {"kind": "params", "at": float("nan"), "params": {"a": 1}},
        {"kind": 3, "at": 1},
        {"kind": "tags", "at": 1, "tags": "good"},
        {"kind": "tags", "at": 1, "tags": [1, None]},
        {"kind": "artifact", "at": 1, "name": "m", "path": "../../etc/passwd", "size": 1},
        {"kind": "artifact", "at": 1, "name": "m", "path": "artifacts/../../x", "size": 1},
        {"kind": "artifact", "at": 1, "name": "m", "path": "/etc/passwd", "size": 1},
        {"kind": "figure", "at": 1, "name": 3, "path": "artifacts/m", "size": 1},
        {"kind": "table", "at": 1, "name": "m", "path": "artifacts/m"},
        {"kind": "something else", "at": 1},
        ["kind"],
    ],
)
def test_a_line_of_another_shape_is_passed_over(record: object) -> None:
    assert _read(json.dumps(record).encode() + b"\n") == Logged()


def test_several_processes_are_merged_in_the_order_of_time(tmp_path: Path) -> None:
    lines = {
        "logged-1-1.jsonl": [(1, {"a": 1, "b": 1}), (3, {"a": 3})],
        "logged-2-1.jsonl": [(2, {"a": 2, "b": 2})],
    }
    for name, records in lines.items():
        (tmp_path / name).write_text(
            "".join(
                json.dumps({"kind": "params", "at": at, "params": params}) + "\n"
                for at, params in records
            )
        )
    assert read_logged(tmp_path).params == {"a": 3, "b": 2}
