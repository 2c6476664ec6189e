"""The documentation has a row for every key of a table within a table."""

from __future__ import annotations

import re

import pytest

from mlbench.project import keys
from tests.support import REPOSITORY

PAGE = (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("table", "known"), [("deps", keys.DEP), ("resources", keys.RESOURCES)])
def test_every_key_has_a_row_and_every_row_a_key(table: str, known: tuple[str, ...]) -> None:
    assert tuple(re.findall(rf"^\| `{table}` · `(\w+)` \|", PAGE, re.MULTILINE)) == known
