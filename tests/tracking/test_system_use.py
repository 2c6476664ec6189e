"""Reading what the sampler beside a stage's supervisor wrote."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbench.domain.use import Use
from mlbench.tracking.pyramid import summary_of
from mlbench.tracking.system_use import read_system


def test_each_quantity_is_a_series_of_its_own(tmp_path: Path) -> None:
    lines = ({"at": 3.0, "cpu": 50, "machine/cpu": 12.5}, {"at": 1.0, "cpu": 100.5})
    (tmp_path / "system-7.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    assert read_system(tmp_path) == {
        "system/cpu": Use((1.0, 3.0), (100.5, 50.0)),
        "system/machine/cpu": Use((3.0,), (12.5,)),
    }


def test_attempts_of_a_stage_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "system-9.jsonl").write_text('{"at": 1, "memory": 10}\n')
    (tmp_path / "system-10.jsonl").write_text('{"at": 2, "memory": 20}\n')
    assert read_system(tmp_path) == {"system/memory": Use((1.0, 2.0), (10.0, 20.0))}


def test_the_mean_counts_each_sample_for_as_long_as_it_stands_for() -> None:
    use = Use((0.0, 1.0, 11.0), (50.0, 100.0, 10.0))
    assert use.mean == (1 * 100 + 10 * 10) / 11
    assert use.peak == 100
    assert Use((5.0,), (30.0,)).mean == 30


def test_they_are_no_metrics(tmp_path: Path) -> None:
    (tmp_path / "system-9.jsonl").write_text('{"at": 1, "memory": 10}\n')
    assert summary_of(tmp_path) == {}


def test_a_stage_that_was_not_measured_has_none(tmp_path: Path) -> None:
    assert read_system(tmp_path) == {}
    assert read_system(tmp_path / "none") == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.binary(max_size=40) | st.sampled_from([b"[]", b"{}", b'{"at": "x"}', b'{"at": NaN}'])
)
def test_what_is_torn_or_strange_costs_that_line_alone(tmp_path: Path, junk: bytes) -> None:
    good = b'{"at": %d, "cpu": 1}\n'
    torn = junk.replace(b"\n", b" ") + b"\n"
    (tmp_path / "system-9.jsonl").write_bytes(good % 1 + torn + good % 2 + b'{"at": 3, "cp')
    assert read_system(tmp_path)["system/cpu"].at == (1.0, 2.0)
