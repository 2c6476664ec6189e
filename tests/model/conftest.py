"""The model changes one environment variable, as people do between two starts of the loop."""

from __future__ import annotations

import pytest

from tests.model.sources import ENV_NAME


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a history leaves is undone."""
    monkeypatch.setenv(ENV_NAME, "one")
