"""Notes, tags, stars, the baseline, archiving, deleting, and taking each back."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlbench.domain.errors import MlbenchError, UsageError
from mlbench.domain.outcomes import RunOutcome, StageOutcome
from mlbench.domain.plain import to_plain
from mlbench.domain.release import Candidate, Parity, Signature
from mlbench.domain.runs import CodeState, Marks, Run, StageRecord
from mlbench.engine.leftovers import KEPT_DAYS, clear_leftovers
from mlbench.engine.queries import Queries
from mlbench.engine.record_desk import RecordDesk
from mlbench.inside.identity import run_id_of
from mlbench.project.layout import Layout
from mlbench.release.folders import FACTS_NAME
from mlbench.release.registry import Registry
from mlbench.system.files import write_json
from mlbench.tracking.folder import read_run, write_run
from mlbench.tracking.store import ExperimentStore
from mlbench.tracking.undo import Change, UndoLog
from tests.support import SmallProject


def made(number: int, **fields: object) -> Run:
    run = Run(
        id=run_id_of(1795000000.0 + number, bytes((0, number))),
        name=f"run-{number}",
        outcome=RunOutcome.PASSED,
        origin="manual",
        by="me",
        started="2026-11-19T09:00:00.000Z",
        seconds=1.0,
        code=CodeState(),
        params={"rate": number},
        metrics={"accuracy": number / 10},
        stages={},
    )
    return dataclasses.replace(run, **fields)  # type: ignore[arg-type]


def record(layout: Layout, run: Run, *stages: str) -> None:
    for stage in stages:
        folder = layout.stage_folder(run.id, stage)
        folder.mkdir(parents=True)
        (folder / "log").write_text(f"{run.name} {stage}")
    write_run(layout.run_folder(run.id), run)
    ExperimentStore(layout).add(run)


@pytest.fixture
def layout(small: SmallProject) -> Layout:
    layout = Layout(small.root)
    for number in range(1, 4):
        record(layout, made(number), "train")
    return layout


def marks(layout: Layout, name: str) -> Marks:
    """The marks of a run by its folder, which the index has to agree with."""
    whole = Queries(layout).run(name)
    (listed,) = [run for run in ExperimentStore(layout).runs() if run.id == whole.id]
    assert listed.marks == whole.marks
    return whole.marks


def test_a_note_takes_the_place_of_the_one_before_and_can_be_taken_back(layout: Layout) -> None:
    desk = RecordDesk(layout)
    assert desk.note("run-1", "the good one") == "noted run-1"
    desk.note("run-1", "the better one")
    assert marks(layout, "run-1").note == "the better one"
    assert desk.note("run-1", "  ") == "took the note of run-1 away"
    assert marks(layout, "run-1").note == ""
    desk.undo()
    assert desk.undo() == "undone: noted run-1"
    assert marks(layout, "run-1").note == "the good one"
    desk.note("run-1", "")
    assert marks(layout, "run-1").note == ""


def test_tags_are_words_or_have_one_value_a_key(layout: Layout) -> None:
    desk = RecordDesk(layout)
    desk.tag("run-1", ["good", "team=x"])
    desk.tag("run-1", ["team=y", "good"])
    assert marks(layout, "run-1").tags == ("team=y", "good")
    desk.tag("run-1", ["good"], remove=True)
    assert marks(layout, "run-1").tags == ("team=y",)
    with pytest.raises(UsageError, match='has no tag "good"'):
        desk.tag("run-1", ["good"], remove=True)
    with pytest.raises(UsageError, match='"two words" is no tag'):
        desk.tag("run-1", ["two words"])


def test_there_is_one_baseline_and_undo_gives_it_back_to_the_one_before(layout: Layout) -> None:
    desk = RecordDesk(layout)
    desk.baseline("run-1")
    desk.baseline("run-2")
    assert not marks(layout, "run-1").baseline_since
    assert marks(layout, "run-2").baseline_since
    desk.undo()
    assert marks(layout, "run-1").baseline_since
    assert not marks(layout, "run-2").baseline_since
    desk.baseline("run-1", on=False)
    assert not marks(layout, "run-1").baseline_since


def test_a_star_without_more_is_the_other_of_what_is(layout: Layout) -> None:
    desk = RecordDesk(layout)
    desk.star("run-1")
    assert marks(layout, "run-1").star
    desk.star("run-1")
    assert not marks(layout, "run-1").star


def test_what_changes_nothing_is_nothing_to_undo(layout: Layout) -> None:
    desk = RecordDesk(layout)
    desk.star("run-1", on=True)
    desk.star("run-1", on=True)
    desk.undo()
    assert not marks(layout, "run-1").star
    assert desk.undoable() is None
    with pytest.raises(UsageError, match="nothing to undo"):
        desk.undo()


def test_undo_leaves_what_another_change_did_since(layout: Layout) -> None:
    desk = RecordDesk(layout)
    desk.archive(["run-1", "run-2"])
    folder = layout.run_folder(made(1).id)
    write_json(folder / "marks.json", to_plain(Marks(note="by hand", archived=True)))
    desk.undo()
    assert marks_in(layout, 1) == Marks(note="by hand")
    assert not marks(layout, "run-2").archived


def marks_in(layout: Layout, number: int) -> Marks:
    run = read_run(layout.run_folder(made(number).id))
    assert run is not None
    return run.marks


def test_marks_survive_a_new_index(layout: Layout) -> None:
    RecordDesk(layout).tag("run-1", ["good"])
    ExperimentStore(layout).rebuild()
    assert marks(layout, "run-1").tags == ("good",)


def test_a_deleted_run_is_gone_with_what_is_nested_in_it_and_comes_back_whole(
    layout: Layout,
) -> None:
    record(layout, made(4, parent=made(3).id), "train")
    record(layout, made(5, parent=made(4).id), "train")
    before = contents(layout.runs)
    desk = RecordDesk(layout)
    assert desk.delete(["run-3"]) == (
        "deleted run-3, run-4, run-5; `mlbench undo` brings them back"
    )
    assert names(layout) == ["run-1", "run-2"]
    assert {path.name for path in layout.runs.iterdir()} == {made(1).id, made(2).id}
    desk.undo()
    assert names(layout) == ["run-1", "run-2", "run-3", "run-4", "run-5"]
    assert contents(layout.runs) == before
    assert list(layout.trash.iterdir()) == []


def test_what_another_run_stands_on_stays(layout: Layout) -> None:
    standing = StageRecord(StageOutcome.UNCHANGED, 0.0, "key", made(1).id)
    record(layout, made(4, stages={"train": standing}))
    log = layout.stage_folder(made(1).id, "train") / "log"
    desk = RecordDesk(layout)
    desk.delete(["run-1"])
    assert log.read_text() == "run-1 train"
    assert names(layout) == ["run-2", "run-3", "run-4"]
    ExperimentStore(layout).rebuild()
    assert names(layout) == ["run-2", "run-3", "run-4"], "half a folder is no run"
    desk.undo()
    assert names(layout) == ["run-1", "run-2", "run-3", "run-4"]


def test_a_run_with_a_version_is_kept_and_a_candidate_goes_and_comes_back(layout: Layout) -> None:
    registry = Registry(layout.models)
    for number, version in ((1, 1), (2, None)):
        path = f"models/digits/{version or f'candidates/{made(number).id}'}"
        item = Candidate(
            model="digits",
            run=made(number).id,
            digest="d",
            source_digest="s",
            sample_digest="t",
            path=path,
            created="2026-11-19T09:00:00.000Z",
            size=1,
            parity=Parity(True, 1, 0.0, 0.0, 0, 0),
            signature=Signature((), (), ()),
            latency={},
            version=version,
        )
        (layout.own / path).mkdir(parents=True)
        write_json(layout.own / path / FACTS_NAME, to_plain(item))
    desk = RecordDesk(layout)
    with pytest.raises(UsageError, match="digits v1 came from run-1, so it is kept"):
        desk.delete(["run-2", "run-1"])
    assert names(layout) == ["run-1", "run-2", "run-3"], "all or none"
    desk.delete(["run-2"])
    assert registry.candidates("digits") == []
    desk.undo()
    assert [item.run for item in registry.candidates("digits")] == [made(2).id]


def test_the_trash_is_cleared_after_a_while_and_undo_says_so(layout: Layout) -> None:
    desk = RecordDesk(layout)
    desk.star("run-2")
    desk.delete(["run-1"])
    assert clear_leftovers(layout, lambda _: True, dry_run=False) == 0
    long_ago = time.time() - (KEPT_DAYS + 1) * 86400
    os.utime(layout.trash / made(1).id, (long_ago, long_ago))
    assert clear_leftovers(layout, lambda _: True, dry_run=False) > 0
    with pytest.raises(UsageError, match="has been cleared from the trash"):
        desk.undo()
    assert desk.undo() == "undone: starred run-2", "the change before can still be taken back"


def test_a_folder_that_cannot_be_written_is_one_sentence(layout: Layout) -> None:
    if os.geteuid() == 0:
        layout.undo.mkdir()
    else:
        layout.own.chmod(0o500)
    with pytest.raises((MlbenchError, IsADirectoryError)):
        RecordDesk(layout).star("run-1")


def test_the_log_of_changes_keeps_the_newest_and_passes_over_what_is_damaged(
    layout: Layout,
) -> None:
    log = UndoLog(layout)
    for number in range(450):
        log.add(Change(str(number)))
    assert 200 <= len(log.changes()) < 400
    with layout.undo.open("ab") as file:
        file.write(b"half a li")
    assert log.changes()[-1].said == "449"
    log.drop_last()
    assert log.changes()[-1].said == "448"


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["note", "tag", "star", "baseline", "archive", "delete"]),
        st.integers(1, 3),
        st.sampled_from("abc"),
    ),
    max_size=6,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(actions=ACTIONS)
def test_undoing_everything_gives_the_record_from_before(
    layout: Layout, actions: list[tuple[str, int, str]]
) -> None:
    desk = RecordDesk(layout)
    before = state(layout)
    for action, number, word in actions:
        if f"run-{number}" in names(layout):
            act(desk, action, f"run-{number}", word)
    while desk.undoable():
        desk.undo()
    assert state(layout) == before


def act(desk: RecordDesk, action: str, name: str, word: str) -> None:
    match action:
        case "note":
            desk.note(name, word)
        case "tag":
            desk.tag(name, [word])
        case "star":
            desk.star(name)
        case "baseline":
            desk.baseline(name, on=word != "c")
        case "archive":
            desk.archive([name])
        case _:
            desk.delete([name])


def state(layout: Layout) -> list[tuple[str, Marks]]:
    return [(run.name, run.marks) for run in ExperimentStore(layout).runs()]


def names(layout: Layout) -> list[str]:
    return [run.name for run in ExperimentStore(layout).runs()]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
