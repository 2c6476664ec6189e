"""The experiment store: several writers, a stock TinyDB beside it, and every kind of damage."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinydb import TinyDB

from mlbench.domain.runs import Marks
from mlbench.project.layout import Layout
from mlbench.tracking.folder import RUN_NAME, write_marks, write_run
from mlbench.tracking.lines import id_of
from mlbench.tracking.store import ExperimentStore
from tests.tracking.conftest import made, record
from tests.tracking.processes import together


def ids(store: ExperimentStore) -> list[str]:
    return [run.id for run in store.runs()]


def test_nothing_is_written_until_there_is_a_run(layout: Layout) -> None:
    store = ExperimentStore(layout)
    assert len(store.runs()) == 0
    assert store.get("20261123-091501-000001") is None
    assert store.standing({}) is None
    assert store.notices == []
    assert list(layout.own.iterdir()) == []


def test_runs_come_oldest_first_however_they_were_added(layout: Layout) -> None:
    store = record(layout, made(3), made(1), made(2))
    assert ids(store) == [made(number).id for number in (1, 2, 3)]
    assert ids(ExperimentStore(layout)) == ids(store)


def test_a_run_comes_back_as_it_was(layout: Layout) -> None:
    run = made(
        1,
        metrics={"accuracy": 0.97, "val/loss": math.inf},
        params={"train.solver": "größe", "train.alpha": 0.1, "seed": 7, "fast": None},
        marks=Marks(tags=("good",), note="keep"),
    )
    store = record(layout, run)
    assert store.get(run.id) == run
    (indexed,) = store.runs()
    assert indexed.stages["train"].outs == {}
    assert replace(indexed, stages=run.stages) == run
    assert indexed.state == run.state


def test_a_run_that_lost_its_folder_is_still_in_the_index(layout: Layout) -> None:
    store = record(layout, made(1, metrics={"accuracy": 0.9}))
    shutil.rmtree(layout.run_folder(made(1).id))
    found = store.get(made(1).id)
    assert found is not None
    assert found.metrics == {"accuracy": 0.9}


def test_adding_a_run_again_replaces_it(layout: Layout) -> None:
    store = record(layout, made(1), made(2), made(1, metrics={"accuracy": 1.0}))
    assert len(store.runs()) == 2
    assert store.runs()[0].metrics == {"accuracy": 1.0}


def test_newest_first_is_the_same_whoever_looked_before(layout: Layout) -> None:
    record(layout, *(made(number) for number in range(1, 8))).checkpoint()
    store = record(layout, made(9), made(3, metrics={"accuracy": 1.0}))
    store.remove(made(5).id)
    newest = [*store.newest()]
    assert [id_of(line) for line in newest] == [made(n).id for n in (9, 7, 6, 4, 3, 2, 1)]
    for _ in range(2):
        assert [*store.newest()] == newest
    assert [*ExperimentStore(layout).runs().lines] == newest[::-1]


def test_a_stock_tinydb_opens_the_file(layout: Layout) -> None:
    store = record(layout, made(2), made(1))
    store.rebuild()
    with TinyDB(layout.experiments) as database:
        documents = database.table("runs").all()
    assert [document["name"] for document in documents] == ["brave-1", "brave-2"]


def test_other_tables_of_the_file_are_left_alone(layout: Layout) -> None:
    record(layout, made(1)).rebuild()
    with TinyDB(layout.experiments) as database:
        database.table("mine").insert({"a": 1})
    store = record(layout, made(2))
    store.rebuild()
    assert ids(store) == [made(1).id, made(2).id]
    with TinyDB(layout.experiments) as database:
        assert database.table("mine").all() == [{"a": 1}]


def test_another_process_is_seen_at_the_next_look(layout: Layout) -> None:
    reader, writer = ExperimentStore(layout), ExperimentStore(layout)
    for number in (2, 1, 4, 3):
        writer.add(made(number))
        assert made(number).id in ids(reader)
        assert ids(reader) == sorted(ids(reader))
    writer.add(made(3, metrics={"loss": 0.5}))
    assert reader.runs()[2].metrics == {"loss": 0.5}
    assert [id_of(line) for line in reader.newest()] == ids(reader)[::-1]
    reader.remove(made(2).id)
    reader.remove("nobody")
    assert ids(writer) == [made(number).id for number in (1, 3, 4)]
    assert ExperimentStore(layout).ids() == {made(number).id for number in (1, 3, 4)}


def test_with_nothing_new_nothing_is_read_again(layout: Layout) -> None:
    store = record(layout, made(1), made(2))
    assert store.runs().lines is store.runs().lines


@given(st.lists(st.tuples(st.sampled_from("ard"), st.integers(0, 12), st.booleans()), max_size=30))
def test_whatever_is_added_and_removed_by_two_the_runs_are_those_in_order(
    steps: list[tuple[str, int, bool]],
) -> None:
    with TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.own.mkdir()
        stores = [ExperimentStore(layout), ExperimentStore(layout)]
        expected: dict[str, str] = {}
        for count, (what, number, second) in enumerate(steps):
            # Some ids are not as ours are.
            run = replace(made(number), name=f"name-{count}")
            run = replace(run, id=f"odd-{number}") if number > 9 else run
            if what == "r":
                stores[second].remove(run.id)
                expected.pop(run.id, None)
            elif what == "a":
                stores[second].add(run)
                expected[run.id] = run.name
            else:
                stores[second] = ExperimentStore(layout)
            for store in stores:
                found = {run.id: run.name for run in store.runs()}
                assert found == expected
                assert list(found) == sorted(found)
                newest = [id_of(line) for line in store.newest()]
                assert newest == sorted(expected, reverse=True)


def test_the_newest_of_many_are_the_same_however_far_one_reads(layout: Layout) -> None:
    store = ExperimentStore(layout)
    runs = [replace(made(1), id=f"20261123-0915{n // 60:02d}-{n:08x}") for n in range(1100)]
    store.add(*runs)
    expected = [run.id for run in reversed(runs)]
    fresh = ExperimentStore(layout)
    assert [id_of(line) for line in islice(fresh.newest(), 20)] == expected[:20]
    assert [id_of(line) for line in fresh.newest()] == expected
    assert ids(fresh) == expected[::-1]


DAMAGES = {
    "empty": b"",
    "blank": b" \n",
    "torn": b'{"runs": {"1": ',
    "no json": b"runs: 1",
    "binary": bytes(range(256)),
    "a list": b"[1]",
    "null": b"null",
    "a table that is none": b'{"runs": [1]}',
    "a run that is none": b'{"runs": {"1": 5}}',
    "a run without fields": b'{"runs": {"1": {"id": "x"}}}',
}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("first", ["read", "add"])
def test_a_damaged_index_is_made_again(layout: Layout, kind: str, first: str) -> None:
    recorded = [made(number) for number in (1, 2, 3)]
    record(layout, *recorded).rebuild()
    layout.experiments.write_bytes(DAMAGES[kind])

    store = ExperimentStore(layout)
    if first == "add":
        store.add(made(4))
        recorded.append(made(4))
    assert ids(store) == [run.id for run in recorded]
    assert any(".mlbench/experiments.json" in notice for notice in store.notices)
    assert ids(ExperimentStore(layout)) == ids(store)


def test_damage_while_the_store_is_open_is_mended_too(layout: Layout) -> None:
    store = record(layout, made(1), made(2))
    store.rebuild()
    layout.experiments.write_bytes(b"torn {")
    assert len(store.runs()) == 2
    layout.experiments.write_bytes(b"again {")
    write_run(layout.run_folder(made(3).id), made(3))
    store.add(made(3))
    assert len(store.runs()) == 3
    assert store.notices


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("where", ["snapshot", "journal"])
def test_a_damaged_record_is_named_and_brought_back_from_its_folder(
    layout: Layout, where: str
) -> None:
    store = record(layout, *(made(number) for number in (1, 2, 3)))
    if where == "snapshot":
        store.rebuild()
    path = layout.experiments if where == "snapshot" else layout.own / "experiments.journal"
    data = path.read_bytes()
    path.write_bytes(flipped(data, data.index(b"brave-2") + 3))

    damaged = ExperimentStore(layout)
    assert ids(damaged) == [made(1).id, made(3).id]
    assert any(f".mlbench/{path.name}" in notice for notice in damaged.check())
    assert damaged.get(made(2).id) == made(2)
    assert damaged.rebuild() == 3
    assert ids(damaged) == [made(number).id for number in (1, 2, 3)]
    mended = ExperimentStore(layout)
    assert ids(mended) == ids(damaged)
    assert mended.check() == []


def test_what_another_program_put_among_the_runs_is_passed_over_and_said(layout: Layout) -> None:
    record(layout, made(1), made(2)).rebuild()
    with TinyDB(layout.experiments) as database:
        database.table("runs").insert({"a": 1})
    store = ExperimentStore(layout)
    assert ids(store) == [made(1).id, made(2).id]
    assert any(
        "among its runs, 1 document of another program" in notice for notice in store.check()
    )
    store.rebuild()
    assert ExperimentStore(layout).check() == []
    assert ids(ExperimentStore(layout)) == [made(1).id, made(2).id]


def test_what_another_program_took_out_comes_back_from_its_folder(layout: Layout) -> None:
    record(layout, made(1), made(2)).rebuild()
    with TinyDB(layout.experiments) as database:
        runs = database.table("runs")
        first = runs.all()[0]
        runs.truncate()
        # Under another number.
        runs.insert(first)
    store = ExperimentStore(layout)
    assert ids(store) == [made(1).id, made(2).id]
    assert any("rebuilt with 2 runs" in notice for notice in store.notices)


def test_a_file_gone_from_beside_its_journal_is_made_again(layout: Layout) -> None:
    store = record(layout, made(1), made(2))
    store.rebuild()
    store.add(made(3))
    layout.experiments.unlink()
    assert ids(ExperimentStore(layout)) == [made(1).id, made(2).id, made(3).id]


def test_a_lost_index_is_made_again(layout: Layout) -> None:
    record(layout, made(1), made(2)).rebuild()
    for path in layout.own.glob("experiments.*"):
        path.unlink()
    store = ExperimentStore(layout)
    assert len(store.runs()) == 2
    assert store.notices == [
        ".mlbench/experiments.json: was lost; rebuilt with 2 runs from .mlbench/runs"
    ]
    assert ExperimentStore(layout).notices == []


def test_a_rebuilt_index_keeps_what_it_alone_knows(layout: Layout) -> None:
    store = record(layout, made(1), made(2))
    shutil.rmtree(layout.run_folder(made(1).id))
    assert store.rebuild() == 2
    assert ids(ExperimentStore(layout)) == [made(1).id, made(2).id]


def test_marks_come_back_with_the_rest(layout: Layout) -> None:
    store = record(layout, made(1))
    write_marks(layout.run_folder(made(1).id), Marks(star=True))
    store.rebuild()
    assert store.runs()[0].marks.star


def test_rebuilding_twice_changes_nothing(layout: Layout) -> None:
    store = record(layout, made(2), made(1))
    assert store.rebuild() == 2
    once = layout.experiments.read_bytes()
    assert store.rebuild() == 2
    assert layout.experiments.read_bytes() == once
    store.add(made(3))
    assert len(store.runs()) == 3


def test_folders_without_a_whole_record_are_passed_over(layout: Layout) -> None:
    store = record(layout, made(1), made(2, outcome=None))
    layout.run_folder("20261123-091600-00000a").mkdir()
    for number, text in enumerate(("", '{"id": "x"', "[]", '{"id": "x"}', "\x00\x01")):
        folder = layout.run_folder(f"20261123-091601-00000{number}")
        folder.mkdir()
        (folder / RUN_NAME).write_text(text)
    (layout.runs / "notes.txt").write_text("mine")
    shutil.copytree(layout.run_folder(made(1).id), layout.runs / "a copy of mine")

    assert store.rebuild() == 1
    assert ids(store) == [made(1).id]


ADD = """
import sys
from dataclasses import replace
from pathlib import Path
from mlbench.project.layout import Layout
from mlbench.tracking.folder import read_run, write_run
from mlbench.tracking.store import ExperimentStore
root, model, name = sys.argv[1:]
layout = Layout(Path(root))
run = read_run(Path(model))
ready()
for number in range(12):
    if name == "rebuild":
        ExperimentStore(layout).rebuild()
    else:
        new = replace(run, id=f"{name}-{number:06x}")
        write_run(layout.run_folder(new.id), new)
        ExperimentStore(layout).add(new)
"""


def test_four_processes_add_and_one_rebuilds_and_none_is_lost(
    layout: Layout, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    write_run(model, made(1))
    names = ("a", "b", "c", "d", "rebuild")
    together(ADD, *((str(layout.root), str(model), name) for name in names))
    expected = {f"{name}-{number:06x}" for name in "abcd" for number in range(12)}
    store = ExperimentStore(layout)
    assert set(ids(store)) == expected
    assert len(store.runs()) == len(expected)


OPEN = """
import sys
from pathlib import Path
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore
ready()
store = ExperimentStore(Layout(Path(sys.argv[1])))
assert len(store.runs()) == 3
print(sum("was lost" in notice for notice in store.notices))
"""


def test_of_processes_that_find_the_loss_together_one_mends_it(layout: Layout) -> None:
    record(layout, made(1), made(2), made(3))
    for path in layout.own.glob("experiments.*"):
        path.unlink()
    assert sorted(together(OPEN, *[(str(layout.root),)] * 4)) == ["0\n", "0\n", "0\n", "1\n"]
