"""Several writers at once, and kill -9 of them at any moment: nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from tinydb import TinyDB

from mlbench.tracking.database import open_database
from tests.tracking.database.writers import Writer

pytestmark = pytest.mark.long
KILLS = int(os.environ.get("MLBENCH_KILLS", "4"))
DOCUMENTS = 250 * max(4, KILLS)


def assert_all_there(path: Path, writers: list[Writer], kills: int) -> Counter[str]:
    """Every acknowledged document under its id; at most one more for each kill."""
    reader = open_database(path)
    documents = {d.doc_id: d["token"] for d in reader.table("runs") if d["token"] != "gone"}
    assert reader.check() == ()
    assert len({*documents.values()}) == len(documents)
    acknowledged = [writer.acknowledged() for writer in writers]
    for said in acknowledged:
        assert {token: documents.get(number) for token, number in said.items()} == {
            token: token for token in said
        }
    count = sum(map(len, acknowledged))
    assert count <= len(documents) <= count + kills
    return Counter(acknowledged=count, unacknowledged=len(documents) - count)


def test_three_processes_insert_and_one_is_killed_again_and_again(path: Path) -> None:
    chance = random.Random(20261123)
    writers = [Writer("insert", path, name, DOCUMENTS) for name in ("one", "two", "victim")]
    for writer in writers:
        writer.start()
    victim = writers[-1]
    kills = 0
    while kills < KILLS and victim.works_on():
        # A moment at random, not a wait for anything.
        time.sleep(chance.uniform(0, 0.05))
        kills += victim.kill()
        victim.start()
    for writer in writers:
        writer.finish()
    found = assert_all_there(path, writers, kills)
    print(f"{kills} kills: {dict(found)}")
    assert kills >= min(KILLS, 3)
    assert found["acknowledged"] == 3 * DOCUMENTS
    with open_database(path) as database:
        database.insert({})
    with TinyDB(path) as stock:
        assert len(stock.table("runs")) == found.total()


def test_kills_in_the_middle_of_checkpoints(path: Path) -> None:
    chance = random.Random(7)
    with open_database(path) as database:
        database.table("runs").insert_multiple(
            {"token": f"before-{n}", "text": "x" * 200} for n in range(1500)
        )
    before = {document.doc_id: document for document in open_database(path).table("runs")}
    writers = [Writer("churn", path, name, 10**6) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    left_behind: Counter[str] = Counter()
    for _ in range(4 * KILLS):
        writer = chance.choice(writers)
        assert writer.works_on()
        time.sleep(chance.uniform(0, 0.03))
        assert writer.kill()
        names = [file.name for file in path.parent.iterdir()]
        left_behind["sealed"] += any(".journal-" in name for name in names)
        left_behind["half a snapshot"] += any(name.endswith(".new") for name in names)
        writer.start()
    for writer in writers:
        writer.kill()
    reader = open_database(path).table("runs")
    assert {n: reader.get(doc_id=n) for n in before} == before
    documents = {d.doc_id: d for d in reader if d.doc_id not in before}
    acknowledged = {}
    for writer in writers:
        acknowledged.update(writer.acknowledged())
    for token, number in acknowledged.items():
        assert documents[number] == {"token": token, "updated": token}
    # A kill may come between an insert and its removal, or before the word about it.
    unacknowledged = [documents[number] for number in {*documents} - {*acknowledged.values()}]
    passing = [document for document in unacknowledged if document["token"] == "gone"]
    assert len(passing) <= 4 * KILLS + 2
    assert len(unacknowledged) - len(passing) <= 4 * KILLS + 2
    assert open_database(path).check() == ()
    print(f"{4 * KILLS} kills, {len(acknowledged)} acknowledged, left behind: {dict(left_behind)}")
    with open_database(path) as database:
        database.insert({})
    assert not [*path.parent.glob("*.new"), *path.parent.glob("*.journal*")]


def test_upserts_of_several_processes_make_one_document(path: Path) -> None:
    from tests.tracking.processes import together

    script = """
import sys
from pathlib import Path
from tinydb import where
from mlbench.tracking.database import open_database
table = open_database(Path(sys.argv[1])).table("runs")
ready()
for number in range(40):
    table.upsert({"key": number, "by": sys.argv[2]}, where("key") == number)
    table.update(lambda document: document.update(n=document.get("n", 0) + 1), where("key") == 0)
"""
    together(script, *[(str(path), str(who)) for who in range(3)])
    documents = open_database(path).table("runs").all()
    assert sorted(document["key"] for document in documents) == list(range(40))
    assert documents[0]["n"] == 120


@pytest.mark.parametrize("reading", ["search", "lines"])
def test_a_reader_sees_only_whole_states(path: Path, reading: str) -> None:
    """Each write changes all documents at once: none may be ahead of the others."""
    database = open_database(path)
    database.table("runs").insert_multiple({"token": "", "n": 0} for _ in range(5))
    writer = Writer("churn", path, "busy", 60)
    writer.start()
    reader = open_database(path).table("runs")
    mine = database.table("runs")
    for n in range(1, 80):
        mine.update({"n": n}, doc_ids=range(1, 6))
        if reading == "search":
            seen = {document["n"] for document in reader.get(doc_ids=[*range(1, 6)])}
        else:
            lines = reader.lines()
            seen = {line for number, line in lines.items() if number <= 5}
        assert len(seen) == 1
    writer.finish()
    assert len(reader) == 65
