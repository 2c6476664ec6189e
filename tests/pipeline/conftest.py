"""A laboratory in a folder of its own for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.pipeline.lab import PYTHON, WHOLE, Lab, Meeting

settings.register_profile("unhurried", deadline=None)
# For a night: HYPOTHESIS_PROFILE=long.
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unhurried"))


@pytest.fixture
def empty(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "project")


@pytest.fixture
def lab(empty: Lab) -> Lab:
    return empty.fill()


@pytest.fixture
def meeting(tmp_path: Path) -> Iterator[Meeting]:
    meeting = Meeting(tmp_path / "meeting")
    yield meeting
    meeting.close()


@pytest.fixture
def half(empty: Lab) -> Lab:
    """A stage with a file and a folder as outs, built once."""
    empty.write("in.txt", "first")
    empty.write("half.py", WHOLE)
    empty.configure(
        f'[stages.half]\ncmd = "{PYTHON} half.py"\ndeps = ["in.txt"]\nouts = ["one.txt", "many"]\n'
    )
    assert empty.run() == {"half": "ran"}
    return empty
