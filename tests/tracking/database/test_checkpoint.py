"""Checkpoints: what they leave behind, what a crash between their steps costs, and who waits."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tinydb import TinyDB, where

from mlbench.system.locks import locked
from mlbench.tracking.database import Database, decode, open_database
from mlbench.tracking.database.checkpoint import clean_up, install, seal
from mlbench.tracking.database.storage import JournaledStorage
from mlbench.tracking.database.writing import write_snapshot
from tests.tracking.database.conftest import content_of

Open = Callable[[], Database]


def names(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir() if not file.name.endswith(".lock")}


def test_nothing_is_written_before_the_first_change(path: Path) -> None:
    with open_database(path) as database:
        assert database.all() == []
        assert database.table("runs").get(where("a") == 1) is None
        assert database.tables() == set()
        assert database.check() == ()
    assert list(path.parent.iterdir()) == []


def test_a_stock_tinydb_opens_the_file_after_close(path: Path) -> None:
    with open_database(path) as database:
        database.table("runs").insert_multiple({"n": n, "name": "größe"} for n in range(5))
        database.table("runs").remove(doc_ids=[2])
        database.insert({"default": [1.5, None, {"x": True}]})
    with TinyDB(path, encoding="utf-8") as stock:
        assert stock.all() == [{"default": [1.5, None, {"x": True}]}]
        runs = stock.table("runs")
        assert [document.doc_id for document in runs] == [1, 3, 4, 5]
        assert runs.get(where("n") == 4) == {"n": 4, "name": "größe"}
        assert stock.tables() == {"_default", "runs", "_mlbench"}
        assert len(stock.table("_mlbench")) == 1


def test_each_document_has_a_line_and_the_file_is_json(path: Path) -> None:
    with open_database(path) as database:
        database.table("runs").insert_multiple({"n": n, "text": "a\nb"} for n in range(3))
    lines = path.read_text().splitlines()
    assert lines[:5] == [
        "{",
        '"runs":{',
        '"1":{"n":0,"text":"a\\nb"},',
        '"2":{"n":1,"text":"a\\nb"},',
        '"3":{"n":2,"text":"a\\nb"}',
    ]
    assert json.loads(path.read_text())["runs"]["2"] == {"n": 1, "text": "a\nb"}


def test_close_writes_a_snapshot_only_where_something_was_written(path: Path) -> None:
    with open_database(path) as database:
        database.insert({"a": 1})
    before = path.stat()
    with open_database(path) as reader:
        assert len(reader) == 1
    with open_database(path) as nothing_to_do:
        nothing_to_do.update({"a": 1})
        nothing_to_do.remove(where("a") == 2)
    assert path.stat() == before
    assert names(path) == {"experiments.json"}


def test_ids_go_on_after_checkpoint_and_removal(path: Path) -> None:
    with open_database(path) as database:
        assert database.insert_multiple([{}, {}, {}]) == [1, 2, 3]
        database.remove(doc_ids=[3])
    with open_database(path) as database:
        assert database.insert({}) == 4
        database.remove(doc_ids=[4])
    database = open_database(path)
    database.remove(doc_ids=[1, 2])
    assert open_database(path).insert({}) == 5


def steps_of_a_checkpoint(database: Database) -> list[Callable[[], None]]:
    """A checkpoint in steps, between which a process may die."""
    files: JournaledStorage = database.files
    state = {}

    def sealing() -> None:
        with files.writing() as current:
            state["frozen"] = seal(current)

    def writing_a_part() -> None:
        files.paths.new.write_bytes(b'{\n"runs":{\n"1":{"half":')

    def writing() -> None:
        frozen = state["frozen"]
        assert frozen is not None
        write_snapshot(files.paths.new, frozen.tables, frozen.journal, frozen.token)

    def renaming() -> None:
        os.replace(files.paths.new, files.paths.snapshot)

    return [sealing, writing_a_part, writing, renaming]


@pytest.mark.parametrize("done", range(5))
def test_a_checkpoint_that_dies_between_two_steps_costs_nothing(path: Path, done: int) -> None:
    with open_database(path) as database:
        database.table("runs").insert_multiple({"n": n} for n in range(4))
    database = open_database(path)
    runs = database.table("runs")
    runs.update({"seen": True}, doc_ids=[1])
    runs.remove(doc_ids=[2])
    other = open_database(path)
    other.table("runs").insert({"n": 4})
    for step in steps_of_a_checkpoint(database)[:done]:
        step()
        assert open_database(path).damages == ()
        assert content_of(open_database(path)) == content_of(other) == content_of(database)
    expected = {1: {"n": 0, "seen": True}, 3: {"n": 2}, 4: {"n": 3}, 5: {"n": 4}}
    for number in (6, 7):
        with open_database(path) as next_one:
            assert content_of(next_one) == {"runs": expected}
            assert next_one.table("runs").insert({"later": number}) == number
            expected[number] = {"later": number}
            assert content_of(other) == {"runs": expected}
    with open_database(path) as last:
        last.table("runs").update({"last": True}, doc_ids=[7])
    assert names(path) == {"experiments.json"}
    assert content_of(other) == content_of(open_database(path))


def test_others_write_and_read_while_a_snapshot_is_written(path: Path, opened: Open) -> None:
    database, other = opened(), opened()
    database.table("runs").insert_multiple({"n": n} for n in range(10))
    files = database.files
    with locked(files.paths.checkpoint_lock):
        with files.writing() as current:
            frozen = seal(current)
        assert frozen is not None
        assert other.table("runs").insert({"n": 10}) == 11
        assert database.table("runs").insert({"n": 11}) == 12
        other.table("runs").update({"n": -1}, doc_ids=[1])
        write_snapshot(files.paths.new, frozen.tables, frozen.journal, frozen.token)
        other.table("runs").remove(doc_ids=[2])
        with files.writing() as current:
            assert install(current, frozen)
        clean_up(current, frozen)
    expected = {1: {"n": -1}, **{n: {"n": n - 1} for n in range(3, 13)}}
    for one in (database, other, opened()):
        assert content_of(one) == {"runs": expected}
    with TinyDB(path) as stock:
        assert len(stock.table("runs")) == 10


def test_a_view_shows_the_moment_that_it_was_taken(path: Path, opened: Open) -> None:
    database = opened()
    runs = database.table("runs")
    runs.insert_multiple({"n": n} for n in range(5))
    database.checkpoint()
    runs.update({"n": 10}, doc_ids=[5])
    lines = runs.lines()
    runs.remove(doc_ids=[1])
    runs.insert({"n": 6})
    database.checkpoint()
    runs.truncate()
    database.checkpoint()
    assert [(n, decode(line)["n"]) for n, line in lines.items()] == [
        (1, 0), (2, 1), (3, 2), (4, 3), (5, 10),
    ]  # fmt: skip
    assert [*reversed(lines)] == [5, 4, 3, 2, 1]
    assert len(lines) == 5
    assert 5 in lines
    assert 6 not in lines
    assert decode(lines[3]) == {"n": 2}
    with pytest.raises(KeyError):
        lines[6]


def test_ids_of_a_view_rise_however_they_were_given(path: Path, opened: Open) -> None:
    from tinydb.table import Document

    database = opened()
    for number in (7, -2, 30, 0):
        database.insert(Document({"own": number}, doc_id=number))
    assert [*database.table("_default").lines()] == [-2, 0, 7, 30]
    database.checkpoint()
    for number in (5, 31):
        database.insert(Document({"own": number}, doc_id=number))
    database.remove(doc_ids=[0])
    lines = database.table("_default").lines()
    assert [*lines] == [n for n, _ in lines.items()] == [-2, 5, 7, 30, 31]
    assert database.insert({}) == 32


def test_a_journal_that_has_grown_is_folded_in_the_background(path: Path, opened: Open) -> None:
    database, reader = opened(), opened()
    text = "x" * 2000
    for n in range(700):
        database.table("runs").insert({"n": n, "text": text})
    for thread in threading.enumerate():
        if thread.name == "checkpoint":
            thread.join()
    assert path.stat().st_size > 1_000_000
    journal = path.with_name("experiments.journal")
    assert not journal.exists() or journal.stat().st_size < 500_000
    assert [document["n"] for document in reader.table("runs")] == list(range(700))


def test_a_copy_of_the_folder_is_the_same_database(path: Path, tmp_path: Path) -> None:
    database = open_database(path)
    database.table("runs").insert_multiple({"n": n} for n in range(3))
    database.checkpoint()
    database.table("runs").insert({"n": 3})
    shutil.copytree(path.parent, tmp_path / "copy")
    copy = open_database(tmp_path / "copy" / path.name)
    assert content_of(copy) == content_of(database)
    assert copy.damages == ()


def test_after_close_nothing_goes(path: Path) -> None:
    database = open_database(path)
    database.insert({})
    database.close()
    database.close()
    for deed in (database.all, database.tables, lambda: database.insert({})):
        with pytest.raises(ValueError, match="closed"):
            deed()


def test_the_name_of_the_index_is_taken(path: Path) -> None:
    with pytest.raises(ValueError, match="_mlbench"):
        open_database(path).table("_mlbench")


def test_what_another_process_folded_need_not_be_read_again(path: Path, opened: Open) -> None:
    reader, writer = opened().table("runs"), opened()
    writer.table("runs").insert_multiple({"n": n} for n in range(5))
    writer.checkpoint()
    before = reader.lines()
    for n in range(3):
        writer.table("runs").update({"n": 10 + n}, doc_ids=[n + 1])
        writer.table("runs").remove(doc_ids=[5])
        assert len(reader) == 4
        writer.checkpoint()
        changes = reader.lines().since(before)
        assert changes is not None
        assert {number: line and decode(line) for number, line in changes.items()} == {
            5: None,
            **{number + 1: {"n": 10 + number} for number in range(n + 1)},
        }
    new = opened().table("runs")
    assert dict(new.lines()) == dict(reader.lines())
    assert new.lines().since(before) is None
    new.truncate()
    assert reader.lines().since(before) is None


def test_a_database_that_was_made_anew_is_another_one(path: Path, opened: Open) -> None:
    reader = opened()
    for text in ("old", "new", "newest"):
        with open_database(path) as database:
            database.table("runs").insert({"text": text})
            assert content_of(reader) == {"runs": {1: {"text": text}}}
        assert content_of(reader) == {"runs": {1: {"text": text}}}
        for file in path.parent.iterdir():
            if text != "newest":
                file.unlink()


def test_removals_of_a_table_without_a_snapshot_are_told(path: Path, opened: Open) -> None:
    runs = opened().table("runs")
    runs.insert_multiple([{"n": 1}, {"n": 2}])
    before = runs.lines()
    runs.truncate()
    runs.insert({"n": 3})
    assert runs.lines().since(before) == {1: b'{"n":3}', 2: None}
