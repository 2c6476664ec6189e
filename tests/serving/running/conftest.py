"""A shelf of models for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.running.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return Shelf(folder)
