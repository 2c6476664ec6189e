"""The ids of runs: in the order of time, unlike each other, and readable again."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mlbench.domain.names import moment_of
from mlbench.inside.identity import new_run_id, run_id_of

MOMENTS = st.integers(0, 4_000_000_000 * 65536).map(lambda ticks: ticks / 65536)


def test_ids_differ_also_within_one_moment() -> None:
    ids = [new_run_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", run) for run in ids)


@given(MOMENTS, MOMENTS)
def test_ids_sort_as_the_moments_do(one: float, other: float) -> None:
    early, late = sorted((one, other))
    assert run_id_of(early, b"\0\0") <= run_id_of(late, b"\0\0")


@given(MOMENTS, st.binary(min_size=2, max_size=2))
def test_the_moment_can_be_read_from_the_id(moment: float, chance: bytes) -> None:
    assert moment_of(run_id_of(moment, chance)) == moment
