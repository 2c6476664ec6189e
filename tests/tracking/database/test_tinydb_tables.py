"""What TinyDB documents of tables, queries and files: over memory, its own file, and our store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tinydb import Query, TinyDB, where
from tinydb.table import Document, Table

from mlbench.tracking.database import Database
from tests.tracking.database.conftest import Make

# Tables


def test_tables_are_apart(db: TinyDB) -> None:
    one, two = db.table("one"), db.table("two")
    one.insert({"a": 1})
    assert two.insert({"b": 1}) == 1
    db.insert({"c": 1})
    assert (one.all(), two.all(), db.all()) == ([{"a": 1}], [{"b": 1}], [{"c": 1}])
    assert db.tables() == {"one", "two", "_default"}


def test_a_table_is_made_once_and_knows_its_name(db: TinyDB) -> None:
    assert db.table("one") is db.table("one")
    assert db.table("one") is not db.table("two")
    assert db.table("one").name == "one"
    assert db.table("one").storage is db.storage
    assert isinstance(db.table("one"), Table)


def test_a_table_is_there_from_its_first_write(db: TinyDB) -> None:
    table = db.table("later")
    assert db.tables() == set()
    table.remove(where("a") == 1)
    assert db.tables() == {"later"}


def test_an_empty_table_can_be_kept(db: TinyDB) -> None:
    db.table("kept", persist_empty=True)
    assert db.tables() == {"kept"}


def test_the_default_table(db: TinyDB) -> None:
    db.insert({"a": 1})
    assert db.table(db.default_table_name).all() == [{"a": 1}]
    assert db.tables() == {"_default"}


def test_drop_table(three: TinyDB) -> None:
    three.table("other").insert({"a": 1})
    three.drop_table("_default")
    assert three.tables() == {"other"}
    assert len(three) == 0
    assert three.insert({}) == 1
    three.drop_table("never there")
    assert three.tables() == {"other", "_default"}


def test_drop_tables(three: TinyDB) -> None:
    three.table("other").insert({"a": 1})
    three.drop_tables()
    assert three.tables() == set()
    assert three.all() == three.table("other").all() == []
    assert three.insert({}) == 1


def test_names_of_tables_may_be_any_text(db: TinyDB) -> None:
    names = ['"', '\\","document":', "é\n", "", "runs.1"]
    for name in names:
        db.table(name).insert({"document": name})
    assert db.tables() == set(names)
    assert [db.table(name).all() for name in names] == [[{"document": name}] for name in names]


def test_what_it_shows_of_itself(three: TinyDB) -> None:
    assert "_default" in repr(three)
    assert "=3" in repr(three)
    assert "total=3" in repr(three.table("_default"))


# Queries


def is_three(value: Any) -> bool:
    return bool(value == 3)


@pytest.mark.parametrize(
    ("query", "chars"),
    [
        (where("int") > 1, "bc"),
        (where("int") >= 1, "abc"),
        (where("int") < 2, "a"),
        (where("int") != 2, "ac"),
        (where("nested").value == 5, "a"),
        (where("nested")["value"].exists(), "a"),
        (where("nested").exists(), "ab"),
        (~where("nested").exists(), "c"),
        ((where("int") == 1) | (where("char") == "c"), "ac"),
        ((where("int") > 1) & (where("char") == "c"), "c"),
        (where("char").matches("[ab]"), "ab"),
        (where("text").search("^Wor", flags=re.IGNORECASE | re.MULTILINE), "c"),
        (where("int").test(is_three), "c"),
        (where("int").one_of([1, 3]), "ac"),
        (where("tags").any(["x"]), "a"),
        (where("tags").all(["x", "y"]), "a"),
        (where("tags").any(where("name") == "z"), "b"),
        (where("tags").all(where("name") == "z"), "b"),
        (Query().fragment({"int": 3, "char": "c"}), "c"),
        (where("nested").fragment({"value": 5}), "a"),
        (Query().int.map(lambda value: value * 2) == 4, "b"),
        (Query().noop(), "abc"),
    ],
)
def test_queries(db: TinyDB, query: Any, chars: str) -> None:
    db.insert_multiple(
        [
            {"int": 1, "char": "a", "nested": {"value": 5}, "tags": ["x", "y"]},
            {"int": 2, "char": "b", "nested": {}, "tags": [{"name": "z"}]},
            {"int": 3, "char": "c", "text": "Hello\nworld"},
        ]
    )
    for _ in range(2):
        assert "".join(d["char"] for d in db.search(query)) == chars
    assert db.contains(query) == bool(chars)


# The query cache


def test_a_cached_search_sees_every_write(three: TinyDB) -> None:
    query = where("int") == 1
    assert three.count(query) == 3
    three.insert({"int": 1, "char": "d"})
    assert three.count(query) == 4
    three.update({"int": 2}, where("char") == "a")
    assert three.count(query) == 3
    three.remove(where("char") == "b")
    assert three.count(query) == 2
    three.truncate()
    assert three.count(query) == 0


def test_the_list_that_a_search_gave_is_the_callers(three: TinyDB) -> None:
    query = where("int") == 1
    three.search(query).clear()
    assert three.count(query) == 3


def test_a_search_that_can_not_be_cached_is_made_each_time(three: TinyDB) -> None:
    calls = []

    class Fickle:
        def __call__(self, value: Any) -> bool:
            calls.append(value)
            return True

        def is_cacheable(self) -> bool:
            return False

    fickle = Fickle()
    assert three.search(fickle) == three.search(fickle)
    assert len(calls) == 6


def test_a_search_that_can_be_cached_is_made_once(three: TinyDB) -> None:
    calls = []

    class Steady:
        def __call__(self, value: Any) -> bool:
            calls.append(value)
            return bool(value["char"] == "b")

    steady = Steady()
    assert three.search(steady) == three.search(steady) == [{"int": 1, "char": "b"}]
    assert len(calls) == 3
    three.clear_cache()
    three.search(steady)
    assert len(calls) == 6


def test_the_cache_may_be_turned_off(db: TinyDB) -> None:
    table = db.table("uncached", cache_size=0)
    table.insert({"a": 1})
    assert table.search(where("a") == 1) == table.search(where("a") == 1) == [{"a": 1}]


# Keeping


def test_documents_are_there_when_it_is_opened_again(make: Make) -> None:
    with make() as db:
        db.insert_multiple([{"a": 1}, {"a": 2}])
        db.table("other").insert({"b": 1})
    with make() as db:
        assert db.all() == [{"a": 1}, {"a": 2}]
        assert db.table("other").all() == [{"b": 1}]
        assert db.insert({"a": 3}) == 3
        db.remove(doc_ids=[1])
    with make() as db:
        assert [d.doc_id for d in db] == [2, 3]


def test_an_empty_table_is_there_when_it_is_opened_again(make: Make) -> None:
    with make() as db:
        db.table("kept", persist_empty=True)
        db.insert({})
        db.truncate()
    with make() as db:
        assert db.tables() == {"kept", "_default"}


def test_a_database_is_closed_at_the_end_of_its_block(make: Make) -> None:
    with make() as db:
        db.insert({})
    with pytest.raises(ValueError, match="closed"):
        db.insert({})


# What ours promises beyond


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "ours.json") as database:
        database.insert_multiple({"int": 1, "char": char, "list": []} for char in "abc")
        yield database


def test_a_document_that_was_handed_out_is_the_callers(ours: Database) -> None:
    query = where("char") == "a"
    inserted = {"char": "d", "list": []}
    ours.insert(inserted)
    inserted["list"].append(1)  # type: ignore[attr-defined]
    fields = {"fields": [1]}
    ours.update(fields, query)
    fields["fields"].append(2)
    for _ in range(3):
        for found in (ours.all()[0], ours.search(query)[0], ours.get(query), ours.get(doc_id=1)):
            assert found == {"int": 1, "char": "a", "list": [], "fields": [1]}
            found["list"].append("mine")
            found["char"] = "changed"
    assert ours.get(doc_id=4) == {"char": "d", "list": []}


def test_a_failing_update_changes_nothing(ours: Database) -> None:
    before = ours.all()

    def fails(document: Any) -> None:
        document["int"] = 5
        document["list"].append(5)
        if document["char"] == "b":
            raise RuntimeError("no")

    deeds: list[Callable[[], Any]] = [
        lambda: ours.update(fails),
        lambda: ours.update(fails, doc_ids=[1, 2]),
        lambda: ours.update_multiple([(fails, where("int") == 1)]),
        lambda: ours.upsert({"bad": {1, 2}}, where("char") == "a"),
        lambda: ours.update({"bad": object()}, where("char") == "c"),
        lambda: ours.insert_multiple([{"good": 1}, {"bad": object()}]),
        lambda: ours.insert(Document({"large": 1}, doc_id=2**70)),
    ]
    for deed in deeds:
        with pytest.raises((RuntimeError, TypeError, ValueError)):
            deed()
        assert ours.all() == before
    assert ours.insert({}) == 4


def test_an_empty_table_that_is_kept_keeps_its_documents(ours: Database) -> None:
    again = Database(ours.files.paths.snapshot)
    assert len(again.table("_default", persist_empty=True)) == 3
