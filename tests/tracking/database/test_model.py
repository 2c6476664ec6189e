"""Random histories of several openers, checkpoints and crashes, beside a TinyDB in memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tinydb import TinyDB, where
from tinydb.operations import increment
from tinydb.storages import MemoryStorage
from tinydb.table import Document, Table

from mlbench.tracking.database import decode, open_database
from mlbench.tracking.database.checkpoint import seal
from mlbench.tracking.database.documents import encode
from tests.tracking.database.conftest import content_of

TABLES = st.sampled_from(["_default", "runs", 'a"b'])
# Two that look at the files in turn, as two processes would.
OPENERS = st.integers(0, 1)
NUMBERS = st.integers(-1, 12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries({"k": st.integers(0, 3)}, optional={"v": VALUES})
CONDITION = st.integers(0, 3).map(lambda k: where("k") == k)


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "experiments.json"
        self.openers = [open_database(self.path), open_database(self.path)]
        self.model = TinyDB(storage=MemoryStorage)
        self.given: dict[str, int] = {}

    def teardown(self) -> None:
        self.openers[0].checkpoint()
        for database in self.openers:
            database.close()
        with TinyDB(self.path, encoding="utf-8") as stock:
            stock.drop_table("_mlbench")
            assert content_of(stock) == content_of(self.model)
        shutil.rmtree(self.folder)

    def both(self, who: int, table: str, deed: Callable[[Table], Any]) -> None:
        ours, theirs = self.openers[who].table(table), self.model.table(table)
        assert sorted(deed(ours)) == sorted(deed(theirs))

    def note_inserted(self, table: str, numbers: Sequence[int], documents: list[Any]) -> None:
        assert numbers[0] == self.given.get(table, 0) + 1
        self.given[table] = max(numbers)
        self.model.table(table).insert_multiple(
            Document(document, doc_id=number)
            for number, document in zip(numbers, documents, strict=True)
        )

    @rule(who=OPENERS, table=TABLES, document=FIELDS)
    def insert(self, who: int, table: str, document: dict[str, Any]) -> None:
        number = self.openers[who].table(table).insert(document)
        self.note_inserted(table, [number], [document])

    @rule(who=OPENERS, table=TABLES, documents=st.lists(FIELDS, min_size=1, max_size=4))
    def insert_multiple(self, who: int, table: str, documents: list[Any]) -> None:
        numbers = self.openers[who].table(table).insert_multiple(documents)
        assert numbers == list(range(numbers[0], numbers[0] + len(documents)))
        self.note_inserted(table, numbers, documents)

    @rule(who=OPENERS, table=TABLES, document=FIELDS, number=NUMBERS)
    def insert_own_id(self, who: int, table: str, document: Any, number: int) -> None:
        own = Document(document, doc_id=number)
        if self.model.table(table).contains(doc_id=number):
            with pytest.raises(ValueError, match="already exists"):
                self.openers[who].table(table).insert(own)
        else:
            self.both(who, table, lambda one: [one.insert(own)])
            self.given[table] = max(self.given.get(table, 0), number)

    @rule(who=OPENERS, table=TABLES, fields=FIELDS, cond=CONDITION)
    def update(self, who: int, table: str, fields: Any, cond: Any) -> None:
        self.both(who, table, lambda one: one.update(fields, cond))

    @rule(who=OPENERS, table=TABLES, cond=CONDITION)
    def update_by_operation(self, who: int, table: str, cond: Any) -> None:
        self.both(who, table, lambda one: one.update(increment("k"), cond))

    @rule(who=OPENERS, table=TABLES, fields=FIELDS, numbers=st.lists(NUMBERS, unique=True))
    def update_by_ids(self, who: int, table: str, fields: Any, numbers: list[int]) -> None:
        self.both(who, table, lambda one: one.update(fields, doc_ids=numbers))

    @rule(who=OPENERS, table=TABLES, one=CONDITION, two=CONDITION, fields=FIELDS)
    def update_multiple(self, who: int, table: str, one: Any, two: Any, fields: Any) -> None:
        updates = [(increment("k"), one), (fields, two)]
        self.both(who, table, lambda store: store.update_multiple(updates))

    @rule(who=OPENERS, table=TABLES, cond=CONDITION)
    def update_that_fails(self, who: int, table: str, cond: Any) -> None:
        def fails(document: Any) -> None:
            document.clear()
            raise ArithmeticError

        if self.model.table(table).contains(cond):
            with pytest.raises(ArithmeticError):
                self.openers[who].table(table).update(fails, cond)

    @rule(who=OPENERS, table=TABLES, fields=FIELDS, cond=CONDITION)
    def upsert(self, who: int, table: str, fields: Any, cond: Any) -> None:
        if self.model.table(table).contains(cond):
            self.both(who, table, lambda one: one.upsert(fields, cond))
        else:
            self.model.table(table).update(fields, cond)
            numbers = self.openers[who].table(table).upsert(fields, cond)
            self.note_inserted(table, numbers, [fields])

    @rule(who=OPENERS, table=TABLES, cond=CONDITION)
    def remove(self, who: int, table: str, cond: Any) -> None:
        self.both(who, table, lambda one: one.remove(cond))

    @rule(who=OPENERS, table=TABLES, numbers=st.lists(NUMBERS, unique=True))
    def remove_by_ids(self, who: int, table: str, numbers: list[int]) -> None:
        self.both(who, table, lambda one: one.remove(doc_ids=numbers))

    @rule(who=OPENERS, table=TABLES)
    def truncate(self, who: int, table: str) -> None:
        self.openers[who].table(table).truncate()
        self.model.table(table).truncate()
        self.given.pop(table, None)

    @rule(who=OPENERS, table=TABLES)
    def drop_table(self, who: int, table: str) -> None:
        self.openers[who].drop_table(table)
        self.model.drop_table(table)
        self.given.pop(table, None)

    @rule(who=OPENERS)
    def checkpoint(self, who: int) -> None:
        self.openers[who].checkpoint()

    @rule(who=OPENERS)
    def close_and_open(self, who: int) -> None:
        self.openers[who].close()
        self.openers[who] = open_database(self.path)

    @rule(who=OPENERS, torn=st.binary(max_size=20))
    def die_and_come_back(self, who: int, torn: bytes) -> None:
        journal = self.openers[who].files.paths.journal
        if journal.exists():
            with journal.open("ab") as file:
                file.write(torn.replace(b"\n", b""))
        self.openers[who] = open_database(self.path)

    @rule(who=OPENERS)
    def die_in_a_checkpoint(self, who: int) -> None:
        with self.openers[who].files.writing() as current:
            seal(current)
        self.openers[who] = open_database(self.path)

    @rule(who=OPENERS)
    def copy_the_files(self, who: int) -> None:
        """A copy is the same database, whatever inodes its files have."""
        copied = self.folder / "copy"
        for file in self.folder.iterdir():
            shutil.copy(file, copied)
            copied.replace(file)
        self.openers = [open_database(self.path), open_database(self.path)]

    @rule(table=TABLES, cond=CONDITION)
    def search(self, table: str, cond: Any) -> None:
        for database in self.openers:
            found = {d.doc_id: d for d in database.table(table).search(cond)}
            assert found == {d.doc_id: d for d in self.model.table(table).search(cond)}

    @invariant()
    def all_show_the_same(self) -> None:
        expected = content_of(self.model)
        for database in self.openers:
            assert content_of(database) == expected
            assert database.damages == ()
            for name, documents in expected.items():
                table = database.table(name)
                assert len(table) == len(documents)
                assert [*table.lines()] == [n for n, _ in table.lines().items()]
                assert [*table.lines()] == sorted(documents)
                backwards = chain.from_iterable(table.lines().backwards())
                assert [*backwards] == [*table.lines().values()][::-1]


Stores.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestStores = Stores.TestCase


@given(
    st.dictionaries(
        st.text(st.characters(), max_size=4),
        VALUES | st.floats() | st.text(st.characters(), max_size=4) | st.integers(2**62, 2**70),
    )
)
def test_a_document_comes_back_as_it_was(document: dict[str, Any]) -> None:
    line = encode(document)
    assert b"\n" not in line
    line.decode("utf-8")
    # NaN is not equal to itself, but looks the same.
    assert repr(decode(line)) == repr(document)


@pytest.mark.parametrize("line", [b"[1]", b"1", b"{", b"", b'{ "a":'])
def test_what_is_no_document_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(line)
