"""Databases of this package in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tinydb import JSONStorage, TinyDB
from tinydb.storages import MemoryStorage

from mlbench.tracking.database import Database, open_database

Content = dict[str, dict[int, dict[str, Any]]]
STORES = ("memory", "stock file", "ours", "stock table on our storage")
KEEPING = STORES[1:]
Make = Callable[[], TinyDB]


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


def maker(kind: str, folder: Path) -> Make:
    if kind == "memory":
        return lambda: TinyDB(storage=MemoryStorage)
    if kind == "stock file":
        return lambda: TinyDB(folder / "stock.json", storage=JSONStorage)
    if kind == "ours":
        return lambda: Database(folder / "ours.json")
    return lambda: TinyDB(folder / "ours.json", storage=Database.default_storage_class)


@pytest.fixture(params=STORES)
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TinyDB]:
    with maker(request.param, tmp_path)() as database:
        yield database


@pytest.fixture
def three(db: TinyDB) -> TinyDB:
    """Three documents that differ in `char` and agree in `int`."""
    db.insert_multiple({"int": 1, "char": char} for char in "abc")
    return db


@pytest.fixture(params=KEEPING)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    return maker(request.param, tmp_path)
