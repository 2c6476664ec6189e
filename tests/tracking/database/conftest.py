"""Databases of this package in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tinydb import TinyDB

from mlbench.tracking.database import Database, open_database

Content = dict[str, dict[int, dict[str, Any]]]


def content_of(database: TinyDB) -> Content:
    """Everything in a database, by table and id."""
    return {
        name: {document.doc_id: dict(document) for document in database.table(name)}
        for name in database.tables()
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / ".mlbench"
    folder.mkdir()
    return folder / "experiments.json"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[[], Database]]:
    """Opens the same database, as often as it is called."""
    databases: list[Database] = []

    def open_one() -> Database:
        databases.append(open_database(path))
        return databases[-1]

    yield open_one
    for database in databases:
        database.close()
