"""Every guard is needed: without any one of them random histories break a law."""

from __future__ import annotations

import pytest

from tests.model.guards import GUARDS, Guard
from tests.model.histories import History
from tests.model.laws import Violation

SEEDS = range(40)
STEPS = 120


def broken_by(guard: Guard) -> str | None:
    """What the first history that breaks a law says, and where."""
    for seed in SEEDS:
        history = History(seed, guard.profile)
        for step in range(STEPS):
            try:
                history.step()
            except (Violation, KeyError) as violation:
                return f"seed {seed}, step {step}: {violation}"
    return None


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_this_guard_a_law_is_broken(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    guard.leave_out(monkeypatch)
    assert broken_by(guard) is not None


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_with_all_guards_none_is(guard: Guard) -> None:
    history = History(0, guard.profile)
    for _ in range(STEPS):
        history.step()
