"""Another program wrote the file: its content counts, and what was acknowledged here does too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tinydb import TinyDB
from tinydb.storages import JSONStorage

from mlbench.tracking.database import open_database
from tests.tracking.database.conftest import content_of


def written(path: Path, **options: Any) -> TinyDB:
    return TinyDB(path, storage=JSONStorage, **options)


OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "indented": {"indent": 4, "sort_keys": True},
    "a value a line": {"indent": 0, "separators": (",", ":")},
    "short": {"separators": (",", ":")},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_what_a_stock_tinydb_wrote_is_taken_over(path: Path, options: str) -> None:
    with written(path, **OPTIONS[options]) as stock:
        stock.table("runs").insert_multiple([{"a": 1}, {"b": float("nan")}, {"c": {"1": {}}}])
        stock.insert({"d": 2**70})
    with open_database(path) as database:
        (sentence,) = database.damages
        assert "experiments.json: another program wrote it" in sentence
        assert database.table("runs").get(doc_id=3) == {"c": {"1": {}}}
        assert database.all() == [{"d": 2**70}]
        assert database.table("runs").insert({"e": 1}) == 4
    with open_database(path) as database:
        assert database.damages == ()
        assert len(database.table("runs")) == 4
    assert [*path.parent.glob("*damaged*")] == []


@pytest.mark.parametrize("options", OPTIONS)
def test_a_stock_tinydb_between_two_of_ours(path: Path, options: str) -> None:
    with open_database(path) as database:
        database.table("runs").insert_multiple({"n": n} for n in range(3))
    with written(path, **OPTIONS[options]) as stock:
        stock.table("runs").update({"n": 10}, doc_ids=[1])
        stock.table("runs").remove(doc_ids=[2])
        assert stock.table("runs").insert({"n": 3}) == 4
    expected = {1: {"n": 10}, 3: {"n": 2}, 4: {"n": 3}}
    with open_database(path) as database:
        assert content_of(database) == {"runs": expected}
        assert len(database.damages) == 1
        database.table("runs").insert({"n": 4})
    assert content_of(open_database(path)) == {"runs": {**expected, 5: {"n": 4}}}
    assert open_database(path).damages == ()


def test_a_stock_tinydb_while_ours_is_open(path: Path) -> None:
    with open_database(path) as database:
        runs = database.table("runs")
        runs.insert({"n": 0})
        database.checkpoint()
        with written(path) as stock:
            stock.table("runs").insert({"n": 1})
            assert len(runs) == 2
            stock.table("runs").insert({"n": 2})
        assert runs.insert({"n": 3}) == 4
        assert [document["n"] for document in runs] == [0, 1, 2, 3]
    with written(path) as stock:
        assert len(stock.table("runs")) == 4


def test_both_gave_the_same_id_to_different_documents(path: Path) -> None:
    database = open_database(path)
    database.table("runs").insert({"n": 0})
    database.checkpoint()
    assert database.table("runs").insert({"ours": True}) == 2
    assert database.table("runs").insert({"ours": "too"}) == 3
    with written(path) as stock:
        assert stock.table("runs").insert({"theirs": True}) == 2
    expected = {1: {"n": 0}, 2: {"ours": True}, 3: {"ours": "too"}, 4: {"theirs": True}}
    assert content_of(database) == {"runs": expected}
    assert any('document 2 of table "runs"' in sentence for sentence in database.damages)
    assert database.table("runs").insert({"after": True}) == 5
    database.close()
    assert content_of(open_database(path)) == {"runs": {**expected, 5: {"after": True}}}


def test_an_empty_file_is_an_empty_database(path: Path) -> None:
    written(path).close()
    assert path.read_bytes() == b""
    with open_database(path) as database:
        assert database.tables() == set()
        assert database.damages == ()
        database.insert({"a": 1})
    assert json.loads(path.read_text())["_default"] == {"1": {"a": 1}}


def test_a_file_that_was_edited_by_hand_keeps_all_that_is_right(path: Path) -> None:
    with open_database(path) as database:
        database.table("runs").insert_multiple({"n": n} for n in range(3))
    path.write_text(path.read_text().replace('"2":{"n":1}', '"2":{"n":11}'))
    with open_database(path) as database:
        found = content_of(database)["runs"]
        assert found[1] == {"n": 0}
        assert found[3] == {"n": 2}
        assert database.damages != ()
