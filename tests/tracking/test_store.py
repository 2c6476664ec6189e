"""The experiment store: several writers, a stock TinyDB beside it, and every kind of damage."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tinydb import TinyDB

from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Marks, Run
from mlbench.project.layout import Layout
from mlbench.tracking.folder import DIFF_NAME, ENVIRONMENT_NAME, RUN_NAME, read_run, write_run
from mlbench.tracking.store import ExperimentStore
from tests.tracking.conftest import made
from tests.tracking.processes import together


def record(layout: Layout, *runs: Run) -> ExperimentStore:
    """Record runs as the engine does: each in its folder, then in the index."""
    store = ExperimentStore(layout)
    for run in runs:
        write_run(layout.run_folder(run.id), run, "", "python")
        store.add(run)
    return store


def ids(store: ExperimentStore) -> list[str]:
    return [run.id for run in store.runs()]


def test_nothing_is_written_until_there_is_a_run(layout: Layout) -> None:
    store = ExperimentStore(layout)
    assert store.runs() == []
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


def test_what_stands_is_the_newest_passed_run_of_these_fingerprints(layout: Layout) -> None:
    store = record(
        layout,
        made(1, key="a"),
        made(2, key="a"),
        made(3, key="a", outcome=RunOutcome.FAILED),
        made(4, key="b"),
    )
    found = store.standing({"train": "a"})
    assert found is not None
    assert found.id == made(2).id
    assert store.standing({"train": "c"}) is None
    assert store.standing({"train": "a", "tests": "a"}) is None


def test_a_stock_tinydb_opens_the_file(layout: Layout) -> None:
    record(layout, made(1), made(2))
    with TinyDB(layout.experiments) as database:
        documents = database.table("runs").all()
    assert [document["name"] for document in documents] == ["brave-1", "brave-2"]
    assert [document.doc_id for document in documents] == [1, 2]


def test_other_tables_of_the_file_are_left_alone(layout: Layout) -> None:
    record(layout, made(1))
    with TinyDB(layout.experiments) as database:
        database.table("mine").insert({"a": 1})
    record(layout, made(2))
    assert json.loads(layout.experiments.read_text())["mine"] == {"1": {"a": 1}}


WHOLE = json.dumps({"runs": {"1": {"id": "x"}}}).encode()
DAMAGES = {
    "empty": b"",
    "blank": b" \n",
    "torn": WHOLE[:-9],
    "no json": b"runs: 1",
    "binary": bytes(range(256)),
    "a list": b"[1]",
    "null": b"null",
    "a table that is none": b'{"runs": [1]}',
    "a run that is none": b'{"runs": {"1": 5}}',
    "a run without fields": WHOLE,
    "an outcome that is none": b"",
    "a number that is none": b"",
}


def damaged(kind: str, whole: bytes) -> bytes:
    """The index with this damage."""
    if kind == "an outcome that is none":
        return whole.replace(b'"passed"', b'"polished"', 1)
    if kind == "a number that is none":
        return whole.replace(b'"1": {', b'"one": {', 1)
    return DAMAGES[kind]


def asides(layout: Layout) -> list[Path]:
    return sorted(layout.own.glob("experiments.damaged-*"))


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("first", ["read", "add"])
def test_a_damaged_index_is_moved_aside_and_made_again(
    layout: Layout, kind: str, first: str
) -> None:
    recorded = [made(number) for number in (1, 2, 3)]
    record(layout, *recorded)
    damage = damaged(kind, layout.experiments.read_bytes())
    layout.experiments.write_bytes(damage)

    store = ExperimentStore(layout)
    if first == "add":
        store.add(made(4))
        recorded.append(made(4))
    assert ids(store) == [run.id for run in recorded]
    (aside,) = asides(layout)
    assert aside.read_bytes() == damage
    (notice,) = store.notices
    assert ".mlbench/experiments.json: was damaged" in notice
    assert f".mlbench/{aside.name}" in notice
    assert "3 runs" in notice
    assert ids(ExperimentStore(layout)) == ids(store)
    assert ExperimentStore(layout).notices == []


def test_damage_while_the_store_is_open_is_mended_too(layout: Layout) -> None:
    store = record(layout, made(1), made(2))
    layout.experiments.write_bytes(b"torn {")
    assert len(store.runs()) == 2
    layout.experiments.write_bytes(b"again {")
    write_run(layout.run_folder(made(3).id), made(3), "", "python")
    store.add(made(3))
    assert len(store.runs()) == 3
    assert {path.read_bytes() for path in asides(layout)} == {b"torn {", b"again {"}
    assert len(store.notices) == 2


def test_a_lost_index_is_made_again(layout: Layout) -> None:
    record(layout, made(1), made(2))
    layout.experiments.unlink()
    store = ExperimentStore(layout)
    assert len(store.runs()) == 2
    (notice,) = store.notices
    assert notice == (
        ".mlbench/experiments.json: was missing and rebuilt with 2 runs from .mlbench/runs"
    )
    assert asides(layout) == []


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
        write_run(layout.run_folder(new.id), new, "", "python")
        ExperimentStore(layout).add(new)
"""


def test_four_processes_add_and_one_rebuilds_and_none_is_lost(
    layout: Layout, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    write_run(model, made(1), "", "python")
    names = ("a", "b", "c", "d", "rebuild")
    together(ADD, *((str(layout.root), str(model), name) for name in names))
    expected = {f"{name}-{number:06x}" for name in "abcd" for number in range(12)}
    store = ExperimentStore(layout)
    assert set(ids(store)) == expected
    assert len(store.runs()) == len(expected)
    with TinyDB(layout.experiments) as database:
        assert len(database.table("runs")) == len(expected)


OPEN = """
import sys
from pathlib import Path
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore
ready()
store = ExperimentStore(Layout(Path(sys.argv[1])))
assert len(store.runs()) == 3
"""


def test_processes_that_find_the_damage_together_keep_it_once(layout: Layout) -> None:
    record(layout, made(1), made(2), made(3))
    layout.experiments.write_bytes(b"torn {")
    together(OPEN, *[(str(layout.root),)] * 4)
    assert [path.read_bytes() for path in asides(layout)] == [b"torn {"]


def test_a_run_folder_says_what_the_code_was_and_where_it_ran(layout: Layout) -> None:
    folder = layout.run_folder(made(1).id)
    write_run(folder, made(1), "--- a\n+++ b\n+x = 1\n", "/opt/python")
    assert read_run(folder) == made(1)
    assert (folder / DIFF_NAME).read_text() == "--- a\n+++ b\n+x = 1\n"
    machine = json.loads((folder / ENVIRONMENT_NAME).read_text())
    assert machine["python"] == "/opt/python"
    assert machine["cores"] >= 1


def test_clean_code_leaves_no_diff(layout: Layout) -> None:
    write_run(layout.run_folder(made(1).id), made(1), "", "python")
    assert not (layout.run_folder(made(1).id) / DIFF_NAME).exists()


def test_a_diff_of_a_file_in_another_encoding_is_kept_byte_for_byte(layout: Layout) -> None:
    folder = layout.run_folder(made(1).id)
    latin = "+name = 'größe'\n".encode("latin-1")
    write_run(folder, made(1), latin.decode("utf-8", errors="surrogateescape"), "python")
    assert (folder / DIFF_NAME).read_bytes() == latin
    assert read_run(folder) == made(1)
