"""One altered byte anywhere, one tail cut anywhere: named, and never worth more than a record."""

from __future__ import annotations

import errno
import os
import re
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from tinydb.table import Document

from mlbench.domain.errors import MlbenchError
from mlbench.tracking.database import Database, open_database, snapshot
from tests.tracking.database.conftest import Content, content_of

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "a", "loss": 0.25},
    {"id": "b", "text": 'say "no", {or} é\n'},
    {"id": "c", "loss": float("inf"), "big": 2**70},
    {"id": "d", "nested": {"11": {"2": [1, 2, {}]}}},
]
# Another bit in each place, and the bytes that the formats live by.
MASKS = ("flip", 0x0A, ord('"'), ord("}"), ord("0"))


def altered(data: bytes, position: int, mask: str | int) -> bytes:
    new = data[position] ^ (1 << position % 8) if mask == "flip" else int(mask)
    return data[:position] + bytes([new]) + data[position + 1 :]


def filled(path: Path, *, snapshot: bool) -> Content:
    """A database of two tables, in its snapshot or in its journal."""
    database = open_database(path)
    database.table("runs").insert_multiple(DOCUMENTS)
    database.insert({"default": True})
    database.table("runs").update({"loss": 0.5}, doc_ids=[1])
    database.table("runs").remove(doc_ids=[4])
    database.table("runs").insert({"id": "e"})
    database.table("empty", persist_empty=True)
    if snapshot:
        database.close()
    return content_of(open_database(path))


def without(content: Content, lost: set[tuple[str, int]]) -> Content:
    return {
        name: {n: document for n, document in table.items() if (name, n) not in lost}
        for name, table in content.items()
    }


def assert_named(database: Database, file: str, position: int) -> None:
    places = [
        (int(found[1]), int(found[2]))
        for sentence in database.damages
        if (found := re.search(rf"{re.escape(file)}: bytes (\d+) to (\d+):", sentence))
    ]
    assert any(start <= position <= end for start, end in places), (position, database.damages)


@pytest.mark.parametrize("mask", MASKS)
def test_a_byte_altered_anywhere_in_the_snapshot(path: Path, mask: str | int) -> None:
    whole = filled(path, snapshot=True)
    assert not path.with_name("experiments.journal").exists()
    intact = path.read_bytes()
    for position in range(len(intact)):
        damaged = altered(intact, position, mask)
        if damaged == intact:
            continue
        path.write_bytes(damaged)
        database = open_database(path)
        found = content_of(database)
        database.check()
        lost = {(t, n) for t in whole for n in whole[t]} - {(t, n) for t in found for n in found[t]}
        assert len(lost) <= 1, (position, lost)
        assert found == without(whole, lost), position
        assert_named(database, "experiments.json", position)
        assert len(database.table("runs")) == len(found["runs"])


@pytest.mark.parametrize("mask", MASKS)
def test_a_byte_altered_anywhere_in_the_journal(path: Path, mask: str | int) -> None:
    database = open_database(path)
    journal = path.with_name("experiments.journal")
    database.table("runs").insert_multiple(DOCUMENTS)
    for number in range(3):
        database.table("runs").insert({"number": number})
        database.insert({"default": number})
    whole = content_of(database)
    intact = journal.read_bytes()
    for position in range(len(intact)):
        damaged = altered(intact, position, mask)
        if damaged == intact:
            continue
        journal.write_bytes(damaged)
        reader = open_database(path)
        found = content_of(reader)
        lost = {(t, n) for t in whole for n in whole[t]} - {(t, n) for t in found for n in found[t]}
        # A table whose first line is lost is there by its documents all the same.
        assert len(lost) <= 1, (position, lost)
        assert found == without(whole, lost), position
        assert_named(reader, "experiments.journal", position)


def test_a_journal_cut_anywhere_loses_only_what_was_being_written(path: Path) -> None:
    database = open_database(path)
    journal = path.with_name("experiments.journal")
    acknowledged = {0: content_of(database)}

    def note() -> None:
        acknowledged[journal.stat().st_size] = content_of(database)

    for number in range(3):
        database.table("runs").insert({"number": number, "text": "é" * number})
        note()
    database.table("runs").insert_multiple(DOCUMENTS)
    note()
    database.table("runs").update({"seen": True})
    note()
    database.table("runs").remove(doc_ids=[2, 3])
    note()
    whole = journal.read_bytes()
    for length in range(len(whole) + 1):
        journal.write_bytes(whole[:length])
        expected = acknowledged[max(size for size in acknowledged if size <= length)]
        torn = open_database(path)
        assert content_of(torn) == expected, length
        assert torn.damages == ()
        if length % 4:
            continue
        runs = dict(expected.get("runs", {}))
        new = torn.table("runs").insert({"after": length})
        assert new not in runs
        runs[new] = {"after": length}
        assert content_of(torn) == content_of(open_database(path)) == {**expected, "runs": runs}


@pytest.mark.parametrize("where", ["first document", "last document", "index", "frame"])
def test_after_damage_everything_else_goes_on(path: Path, where: str) -> None:
    whole = filled(path, snapshot=True)
    intact = path.read_bytes()
    position = {
        "first document": intact.index(b'"a"'),
        "last document": intact.index(b'"e"'),
        "index": intact.index(b'"entries":"') + 20,
        "frame": 0,
    }[where]
    damaged = altered(intact, position, "flip")
    path.write_bytes(damaged)
    lost = {"first document": {("runs", 1)}, "last document": {("runs", 5)}}.get(where, set())
    with open_database(path) as database:
        expected = without(whole, lost)
        assert content_of(database) == expected
        number = database.table("runs").insert({"id": "new"})
        assert number == 6
        expected["runs"][number] = {"id": "new"}
        assert content_of(database) == expected
    with open_database(path) as database:
        assert content_of(database) == expected
        assert database.check() == ()
    asides = [file.read_bytes() for file in path.parent.glob("experiments.damaged-*.json")]
    assert asides == ([] if where == "frame" else [damaged])


def test_a_damaged_journal_is_kept_aside_at_a_checkpoint(path: Path) -> None:
    filled(path, snapshot=False)
    journal = path.with_name("experiments.journal")
    damaged = altered(journal.read_bytes(), 200, "flip")
    journal.write_bytes(damaged)
    database = open_database(path)
    expected = content_of(database)
    database.checkpoint()
    assert not journal.exists()
    (aside,) = path.parent.glob("experiments.damaged-*.journal")
    assert aside.read_bytes() == damaged
    assert content_of(open_database(path)) == expected


NOT_OURS = {
    "blank": b" \n",
    "torn": b'{"runs": {"1": {"id": "x"}',
    "no json": b"runs: 1",
    "binary": bytes(range(256)),
    "a list": b"[1]",
    "null": b"null",
}


@pytest.mark.parametrize("kind", NOT_OURS)
def test_a_file_that_is_no_database_is_named_and_kept_aside(path: Path, kind: str) -> None:
    path.write_bytes(NOT_OURS[kind])
    with open_database(path) as database:
        assert database.tables() == set()
        assert bool(database.damages) == (kind != "blank")
        database.table("runs").insert({"a": 1})
    assert content_of(open_database(path)) == {"runs": {1: {"a": 1}}}
    asides = [file.read_bytes() for file in path.parent.glob("experiments.damaged-*")]
    assert asides == ([] if kind == "blank" else [NOT_OURS[kind]])


def test_what_is_no_table_and_no_document_is_left_out_and_named(path: Path) -> None:
    path.write_text('{"runs": {"1": {"a": 1}, "2": 5, "three": {}}, "x": [1]}')
    with open_database(path) as database:
        assert content_of(database) == {"runs": {1: {"a": 1}}}
        named = " ".join(database.damages)
        assert all(what in named for what in ('document "2"', 'document "three"', 'table "x"'))
        database.insert({})
    assert len(list(path.parent.glob("experiments.damaged-*"))) == 1


def test_a_snapshot_that_was_taken_away_is_named(path: Path) -> None:
    with open_database(path) as database:
        database.insert({"a": 1})
    database = open_database(path)
    database.insert({"b": 2})
    path.unlink()
    (damage,) = [*open_database(path).damages]
    assert "experiments.json: is missing, or older than the journal" in damage
    assert content_of(open_database(path)) == {"_default": {2: {"b": 2}}}


def test_an_older_snapshot_put_back_is_named(path: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    for number in range(3):
        with open_database(path) as database:
            database.insert({"number": number})
        if not number:
            shutil.copy(path, older)
    open_database(path).insert({"number": 3})
    shutil.copy(older, path)
    database = open_database(path)
    assert content_of(database) == {"_default": {1: {"number": 0}, 4: {"number": 3}}}
    assert "older than the journal" in database.damages[0]


def test_damage_while_it_is_open_is_seen_when_it_is_touched(path: Path) -> None:
    filled(path, snapshot=True)
    database = open_database(path)
    lines = database.table("runs").lines()
    intact = path.read_bytes()
    path.write_bytes(altered(intact, intact.index(b'"a"') + 1, "flip"))
    assert 1 not in dict(lines.items())
    assert lines.get(1) is None
    assert database.table("runs").get(doc_id=1) is None
    assert_named(database, "experiments.json", intact.index(b'"a"') + 1)


@pytest.mark.parametrize("size", [1, 60, 1 << 18])
def test_blocks_of_any_size_hold_the_same_forwards_and_backwards(
    path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_BLOCK", size)
    monkeypatch.setattr(snapshot, "_LAST_BLOCK", size)
    with open_database(path) as database:
        runs = database.table("runs")
        # Keys of several lengths, and below zero.
        for number in (-10, -9, -1, 0, 9, 10, 99, 100):
            runs.insert(Document({"number": number}, number))
    intact = path.read_bytes()
    first, last = intact.index(b'"-10"'), intact.index(b'"_mlbench"')
    for position in range(first, last - 3):
        path.write_bytes(altered(intact, position, "flip"))
        singly = open_database(path).table("runs").lines()
        one_by_one = {n: line for n in list(singly) if (line := singly.get(n)) is not None}
        forwards, backwards = open_database(path), open_database(path)
        assert dict(forwards.table("runs").lines().items()) == one_by_one
        fallen = chain.from_iterable(backwards.table("runs").lines().backwards())
        assert [*fallen] == [*one_by_one.values()][::-1]
        for database in (forwards, backwards):
            assert_named(database, "experiments.json", position)


def test_a_damaged_snapshot_is_kept_aside_also_without_hard_links(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    filled(path, snapshot=True)
    damaged = altered(path.read_bytes(), 40, "flip")
    path.write_bytes(damaged)
    monkeypatch.setattr(os, "link", refuse)
    database = open_database(path)
    content_of(database)
    database.table("runs").insert({"id": "later"})
    database.checkpoint()
    (aside,) = path.parent.glob("experiments.damaged-*.json")
    assert aside.read_bytes() == damaged


def test_a_writer_that_could_not_read_lets_the_others_write(path: Path) -> None:
    filled(path, snapshot=False)
    journal = path.with_name("experiments.journal")
    one, other = open_database(path), open_database(path)
    aside = journal.rename(journal.with_name("away"))
    journal.mkdir()
    with pytest.raises((OSError, MlbenchError)):
        one.table("runs").insert({"id": "not written"})
    journal.rmdir()
    aside.rename(journal)
    assert other.table("runs").insert({"id": "written"})
    assert one.table("runs").insert({"id": "written too"})
