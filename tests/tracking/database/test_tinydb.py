"""What TinyDB documents of TinyDB, Table and Query: over memory, its own file, and our store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tinydb import JSONStorage, Query, TinyDB, where
from tinydb.operations import add, decrement, delete, increment, subtract
from tinydb.operations import set as set_field
from tinydb.storages import MemoryStorage
from tinydb.table import Document, Table

from mlbench.tracking.database import Database

STORES = ("memory", "stock file", "ours", "stock table on our storage")
KEEPING = STORES[1:]
Make = Callable[[], TinyDB]


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


# Inserting


def test_insert_gives_rising_ids(db: TinyDB) -> None:
    assert [db.insert({"a": 1}), db.insert({"a": 2}), db.insert({})] == [1, 2, 3]


def test_insert_multiple_gives_ids_and_takes_a_generator(db: TinyDB) -> None:
    assert db.insert_multiple([{"int": 1}, {"int": 1}]) == [1, 2]
    assert db.insert_multiple({"int": n} for n in range(3)) == [3, 4, 5]
    assert db.insert_multiple([]) == []
    assert len(db) == 5


class Custom(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __init__(self, **data: Any) -> None:
        self.data = data

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


def test_any_mapping_can_be_inserted(db: TinyDB) -> None:
    assert db.insert(Custom(int=1, char="a")) == 1
    assert db.insert_multiple([Custom(n=1), {"n": 2}]) == [2, 3]
    assert db.get(doc_id=1) == {"int": 1, "char": "a"}


@pytest.mark.parametrize("value", [[1], {1, 2}, "text", 5, None])
def test_what_is_no_mapping_is_refused(db: TinyDB, value: Any) -> None:
    with pytest.raises(ValueError, match="Mapping"):
        db.insert(value)
    with pytest.raises(ValueError, match="Mapping"):
        db.insert_multiple([{"a": 1}, value])
    assert len(db) == 0


def test_a_document_brings_its_own_id(db: TinyDB) -> None:
    assert db.insert(Document({"a": 1}, doc_id=42)) == 42
    assert db.insert({"a": 2}) == 43
    assert db.insert_multiple([Document({}, doc_id=100), Document({}, doc_id=50)]) == [100, 50]
    assert db.get(doc_id=42) == {"a": 1}


def test_an_id_that_is_taken_is_refused(db: TinyDB) -> None:
    db.insert(Document({"a": 1}, doc_id=5))
    with pytest.raises(ValueError, match="5 already exists"):
        db.insert(Document({"a": 2}, doc_id=5))
    with pytest.raises(ValueError, match="5 already exists"):
        db.insert_multiple([{"a": 3}, Document({"a": 4}, doc_id=5)])
    assert db.get(doc_id=5) == {"a": 1}


def test_values_of_every_json_kind_come_back(db: TinyDB) -> None:
    document = {
        "text": "é \u2028 \x00 \U0001f600",
        "int": 2**80,
        "float": 0.1,
        "none": None,
        "true": True,
        "list": [1, [2, {"deep": []}]],
        "dict": {"": {"a.b": 1}},
        "": "empty key",
    }
    db.insert(document)
    assert db.all() == [document]


@pytest.mark.parametrize("make", ["stock file", "ours"], indirect=True)
def test_keys_and_tuples_become_what_json_has(make: Make) -> None:
    with make() as db:
        db.insert({2: (1, 2), None: float("inf"), True: 2**64})
        assert db.all() == [{"2": [1, 2], "null": float("inf"), "true": 2**64}]


# Reading


def test_all_and_iteration_give_documents_with_ids(three: TinyDB) -> None:
    assert three.all() == list(three)
    assert [(type(d), d.doc_id, d["char"]) for d in three] == [
        (Document, 1, "a"),
        (Document, 2, "b"),
        (Document, 3, "c"),
    ]


def test_an_empty_database(db: TinyDB) -> None:
    assert len(db) == 0
    assert db.all() == []
    assert db.search(where("a") == 1) == []
    assert db.get(where("a") == 1) is None
    assert db.get(doc_id=1) is None
    assert not db.contains(doc_id=1)
    assert db.update({"a": 1}) == []
    assert db.remove(where("a") == 1) == []


def test_search(three: TinyDB) -> None:
    assert [d.doc_id for d in three.search(where("int") == 1)] == [1, 2, 3]
    assert three.search(where("char") == "b") == [{"int": 1, "char": "b"}]
    assert three.search(where("char") == "z") == []


def test_get_by_condition_gives_the_first(three: TinyDB) -> None:
    found = three.get(where("int") == 1)
    assert isinstance(found, Document)
    assert (found.doc_id, found) == (1, {"int": 1, "char": "a"})
    assert three.get(where("char") == "z") is None


def test_get_by_id(three: TinyDB) -> None:
    assert three.get(doc_id=3)["char"] == "c"
    assert three.get(doc_id=99) is None


def test_get_by_several_ids(three: TinyDB) -> None:
    assert [d["char"] for d in three.get(doc_ids=[3, 1, 99])] == ["a", "c"]
    assert three.get(doc_ids=[]) == []


def test_get_and_contains_want_to_know_what(three: TinyDB) -> None:
    with pytest.raises(RuntimeError, match="doc_id"):
        three.get()
    with pytest.raises(RuntimeError, match="doc_id"):
        three.contains()


def test_contains(three: TinyDB) -> None:
    assert three.contains(where("char") == "a")
    assert not three.contains(where("char") == "z")
    assert three.contains(doc_id=1)
    assert not three.contains(doc_id=9)


def test_count(three: TinyDB) -> None:
    assert three.count(where("int") == 1) == 3
    assert three.count(where("char") == "d") == 0


# Updating


def test_update_all(three: TinyDB) -> None:
    assert three.update({"int": 2}) == [1, 2, 3]
    assert three.count(where("int") == 2) == 3


def test_update_what_matches(three: TinyDB) -> None:
    assert three.update({"int": 2, "new": []}, where("char") == "a") == [1]
    assert three.get(doc_id=1) == {"int": 2, "char": "a", "new": []}
    assert three.count(where("int") == 1) == 2


def test_update_by_ids_passes_over_what_is_not_there(three: TinyDB) -> None:
    assert three.update({"int": 2}, doc_ids=[3, 99, 1]) == [3, 1]
    assert [d["int"] for d in three] == [2, 1, 2]
    assert three.update({"int": 3}, doc_ids=iter([2])) == [2]


def test_update_by_a_function(three: TinyDB) -> None:
    def shout(document: Any) -> None:
        document["char"] = document["char"].upper()

    assert three.update(shout, where("char") != "b") == [1, 3]
    assert [d["char"] for d in three] == ["A", "b", "C"]
    assert three.update(shout, doc_ids=[2]) == [2]
    assert three.update(shout) == [1, 2, 3]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (delete("int"), {"char": "a"}),
        (add("int", 4), {"int": 5, "char": "a"}),
        (subtract("int", 4), {"int": -3, "char": "a"}),
        (set_field("char", "xyz"), {"int": 1, "char": "xyz"}),
        (increment("int"), {"int": 2, "char": "a"}),
        (decrement("int"), {"int": 0, "char": "a"}),
    ],
)
def test_operations(three: TinyDB, operation: Callable[[Any], None], expected: Any) -> None:
    three.update(operation, where("char") == "a")
    assert three.get(doc_id=1) == expected
    assert three.get(doc_id=2) == {"int": 1, "char": "b"}


def test_update_multiple(three: TinyDB) -> None:
    updated = three.update_multiple(
        [({"int": 2}, where("char") == "a"), (delete("int"), where("char") == "b")]
    )
    assert updated == [1, 2]
    assert three.all() == [{"int": 2, "char": "a"}, {"char": "b"}, {"int": 1, "char": "c"}]


def test_update_multiple_hands_on_what_was_changed_before(three: TinyDB) -> None:
    updated = three.update_multiple(
        [(increment("int"), where("char") == "a"), (increment("int"), where("int") == 2)]
    )
    assert updated == [1, 1]
    assert [d["int"] for d in three] == [3, 1, 1]


def test_upsert_updates_all_that_match(three: TinyDB) -> None:
    assert three.upsert({"int": 5}, where("char").one_of(["a", "b"])) == [1, 2]
    assert [d["int"] for d in three] == [5, 5, 1]


def test_upsert_inserts_what_is_not_there(three: TinyDB) -> None:
    assert three.upsert({"int": 9, "char": "x"}, where("char") == "x") == [4]
    assert three.get(doc_id=4) == {"int": 9, "char": "x"}


def test_upsert_by_id(three: TinyDB) -> None:
    assert three.upsert(Document({"char": "A"}, doc_id=1)) == [1]
    assert three.get(doc_id=1) == {"int": 1, "char": "A"}
    assert three.upsert(Document({"char": "Z"}, doc_id=30)) == [30]
    assert three.insert({}) == 31


def test_upsert_needs_a_condition_or_an_id(db: TinyDB) -> None:
    with pytest.raises(ValueError, match="doc_id"):
        db.upsert({"a": 1})


# Removing


def test_remove_what_matches(three: TinyDB) -> None:
    assert three.remove(where("char").one_of(["a", "c"])) == [1, 3]
    assert [d["char"] for d in three] == ["b"]
    assert len(three) == 1


def test_remove_by_ids_passes_over_what_is_not_there(three: TinyDB) -> None:
    assert three.remove(doc_ids=[2, 99]) == [2]
    assert [d.doc_id for d in three] == [1, 3]


def test_remove_without_a_condition_is_refused(three: TinyDB) -> None:
    with pytest.raises(RuntimeError, match="truncate"):
        three.remove()
    assert len(three) == 3


def test_an_id_is_not_given_again(three: TinyDB) -> None:
    three.remove(doc_ids=[3])
    assert three.insert({}) == 4


def test_truncate_begins_anew(three: TinyDB) -> None:
    three.truncate()
    assert len(three) == 0
    assert three.all() == []
    assert three.insert({}) == 1


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
