"""Where the quick project of a test lies, and what counts how often its first stage ran."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return (tmp_path / "quick").resolve()


@pytest.fixture
def count(tmp_path: Path) -> Path:
    return tmp_path / "prepared"
