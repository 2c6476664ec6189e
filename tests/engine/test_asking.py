"""A large request is cut into batches of rows, and the answers come together again as they were."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlbench.engine.asking import batches_of, joined


def tensor(name: str, shape: list[int]) -> dict[str, Any]:
    data = [f"{name}{place}" for place in range(math.prod(shape))]
    return {"name": name, "datatype": "BYTES", "shape": shape, "data": data}


rows = st.integers(0, 30)
inner = st.lists(st.lists(st.integers(1, 3), max_size=2), min_size=1, max_size=3)


@given(rows, inner, st.integers(1, 40))
def test_batches_hold_every_row_in_order_and_no_more_than_allowed(
    count: int, shapes: list[list[int]], most: int
) -> None:
    inputs = [tensor(f"x{place}-", [count, *shape]) for place, shape in enumerate(shapes)]
    wide = sum(math.prod(shape) for shape in shapes)
    batches = list(batches_of(inputs, most))
    for batch in batches:
        values = sum(len(one["data"]) for one in batch)
        assert values <= max(most, wide)
        for one in batch:
            assert len(one["data"]) == math.prod(one["shape"])
    answers = [{"model_version": "3", "id": "a", "outputs": list(batch)} for batch in batches]
    assert joined(answers) == {"model_version": "3", "id": "a", "outputs": inputs}


def test_what_has_no_rows_in_common_stays_whole() -> None:
    unlike = [tensor("a", [4]), tensor("b", [2, 3])]
    assert list(batches_of(unlike, 2)) == [unlike]
    single = [tensor("a", [])]
    assert list(batches_of(single, 1)) == [single]


def test_every_version_that_answered_is_named() -> None:
    versions = ("3", "4", "3")
    answers: list[dict[str, Any]] = [{"model_version": one, "outputs": []} for one in versions]
    assert joined(answers)["model_version"] == "3, 4"
