"""The decision core breaks no law in random histories; `make model` runs a million steps."""

from __future__ import annotations

import pytest

from tests.model.__main__ import tell

HISTORIES = 50


@pytest.mark.parametrize("batch", range(4))
def test_no_history_breaks_a_law(batch: int) -> None:
    for seed in range(batch, HISTORIES, 4):
        told = tell(seed)
        assert told.broken is None, f"python -m tests.model --seed {seed} --steps {told.steps}"
