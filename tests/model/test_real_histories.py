"""The same kind of histories with real processes and files, while Python writes its .pyc files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.real import RealHistory

STEPS = 125


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_no_real_history_breaks_a_law(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    root = tmp_path / "project"
    root.mkdir()
    history = RealHistory(seed, root.resolve(), tmp_path / "clean")
    for _ in range(STEPS):
        history.step()
    assert history.outcomes["ran"]
    assert list(root.glob("**/*.pyc"))
