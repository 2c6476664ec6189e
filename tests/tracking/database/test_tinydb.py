"""What TinyDB documents of documents in a table: over memory, its own file, and our store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tinydb import TinyDB, where
from tinydb.operations import add, decrement, delete, increment, subtract
from tinydb.operations import set as set_field
from tinydb.table import Document

from tests.tracking.database.conftest import Make

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
