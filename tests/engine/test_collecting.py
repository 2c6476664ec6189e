"""Cleaning the cache: what must stay, what goes first, and when the loop does it by itself."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlbench.domain.outcomes import RunOutcome, StageOutcome, TrialState
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import Candidate
from mlbench.domain.runs import CodeState, Marks, Run, StageRecord
from mlbench.domain.stages import Project
from mlbench.domain.sweeps import MAXIMIZE, Dimension, Objective, Study, Sweep, Trial
from mlbench.engine import collecting
from mlbench.engine.collecting import (
    IN_USE,
    OF_MARKED,
    OF_RECENT,
    OF_STAGES,
    OF_VERSIONS,
    CacheWatch,
    Collection,
    Collector,
    limit_of,
)
from mlbench.engine.study_files import StudyFiles
from mlbench.pipeline.snapshots.snapshot import Snapshot
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.system.content import ContentStore, hash_file
from mlbench.system.files import write_json
from mlbench.system.locks import locked
from mlbench.tracking.folder import write_run
from mlbench.tracking.store import ExperimentStore
from tests.support import SmallProject

DAY = 86400.0
NOW = time.time()


def age(layout: Layout, days: float) -> None:
    """Make every object of the cache look unused since then."""
    for path in layout.cache.rglob("*"):
        if path.is_file():
            os.utime(path, (NOW - days * DAY,) * 2)


def keep(layout: Layout, folder: Path, data: bytes) -> str:
    """An object that nothing names, unused for long."""
    folder.mkdir(exist_ok=True)
    (folder / "junk").write_bytes(data)
    store, digest = ContentStore(layout.cache), hash_file(folder / "junk")
    store.put(folder / "junk", digest)
    os.utime(store.path_of(digest), (NOW - 100 * DAY,) * 2)
    return digest


def run_of(number: int, out: str, *, days: float, **fields: object) -> Run:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - days * DAY))
    whole = Run(
        id=f"20260101-000000-{number:06x}",
        name=f"run-{number}",
        outcome=RunOutcome.PASSED,
        origin="manual",
        by="me",
        started=started,
        seconds=1.0,
        code=CodeState(),
        params={},
        metrics={},
        stages={"train": StageRecord(StageOutcome.RAN, 1.0, "key", None, {"out": out})},
    )
    return dataclasses.replace(whole, **fields)  # type: ignore[arg-type]


def record(layout: Layout, run: Run) -> None:
    write_run(layout.run_folder(run.id), run)
    ExperimentStore(layout).add(run)


@pytest.fixture
def layout(small: SmallProject) -> Layout:
    (small.root / ".mlbench").mkdir()
    return Layout(small.root)


@pytest.fixture
def project(layout: Layout) -> Project:
    return load_project(layout)


Junk = Callable[[bytes], str]


@pytest.fixture
def junk(layout: Layout, tmp_path: Path) -> Junk:
    return lambda data: keep(layout, tmp_path / "junk", data)


def collect(layout: Layout, project: Project, limit: int = 0, **options: bool) -> Collection:
    return Collector(layout).collect(project, limit, **options)


def has(layout: Layout, digest: str) -> bool:
    return ContentStore(layout.cache).path_of(digest).exists()


def test_nothing_goes_while_the_cache_is_within_its_limit(
    layout: Layout, project: Project, junk: Junk
) -> None:
    digest = junk(b"x" * 100)
    done = collect(layout, project, 100)
    assert (done.freed, done.size, done.is_over) == (0, 100, False)
    assert has(layout, digest)


def test_what_nobody_needs_goes_and_a_dry_run_only_says_so(
    layout: Layout, project: Project, junk: Junk
) -> None:
    digest = junk(b"x" * 100)
    said = collect(layout, project, dry_run=True)
    assert (said.freed, said.objects, said.size, said.dry_run) == (100, 1, 0, True)
    assert has(layout, digest)
    done = collect(layout, project)
    assert (done.freed, done.objects, done.size) == (100, 1, 0)
    assert not has(layout, digest)


def test_runs_that_are_marked_or_passed_lately_keep_what_they_gave(
    layout: Layout, project: Project, junk: Junk
) -> None:
    old, lately, failed, tagged, noted = (junk(b"out %d" % number) for number in range(5))
    record(layout, run_of(1, old, days=15))
    record(layout, run_of(2, lately, days=13))
    record(layout, run_of(3, failed, days=1, outcome=RunOutcome.FAILED))
    record(layout, run_of(4, tagged, days=100, marks=Marks(tags=("keep",))))
    record(
        layout,
        run_of(5, noted, days=100, marks=Marks(note="the good one"), outcome=RunOutcome.FAILED),
    )
    done = collect(layout, project)
    assert done.kept == {OF_RECENT: 5, OF_MARKED: 10}
    assert [has(layout, item) for item in (old, lately, failed, tagged, noted)] == [
        False,
        True,
        False,
        True,
        True,
    ]
    assert done.is_over


def test_what_was_used_since_a_running_trial_began_stays(
    layout: Layout, project: Project, junk: Junk
) -> None:
    sweep = Sweep("small", "train", (Objective("score", MAXIMIZE),), (Dimension("a"),))
    files = StudyFiles(layout, "20260101-000000-00000001")
    files.write_study(Study(files.id, sweep, "2026-01-01T00:00:00Z"))
    hours = [junk(b"used %d hours ago" % number) for number in range(4)]
    store = ContentStore(layout.cache)
    for number, digest in enumerate(hours):
        os.utime(store.path_of(digest), (NOW - number * 3600 - 1800,) * 2)

    def began(number: int, state: TrialState, ago: float) -> None:
        moment = datetime.fromtimestamp(NOW - ago * 3600, tz=UTC).isoformat()
        files.write_trials([Trial(number, state, started=moment)])

    began(0, TrialState.COMPLETE, 9)
    began(1, TrialState.RUNNING, 2)
    began(2, TrialState.RUNNING, 1)
    assert files.lock.try_acquire()
    collect(layout, project)
    files.lock.release()
    assert [store.path_of(digest).exists() for digest in hours] == [True, True, False, False]
    # Without a coordinator nothing runs, whatever the board says.
    collect(layout, project)
    assert not any(store.path_of(digest).exists() for digest in hours)


def test_of_trials_the_best_five_keep_what_they_gave(
    layout: Layout, project: Project, junk: Junk
) -> None:
    sweep = Sweep("small", "train", (Objective("score", MAXIMIZE),), (Dimension("a"),))
    files = StudyFiles(layout, "20260101-000000-00000001")
    files.write_study(Study(files.id, sweep, "2026-01-01T00:00:00Z"))
    outs = [junk(b"trial %d" % number) for number in range(8)]
    for number, out in enumerate(outs):
        # The last one is the best of all, but of another study that is lost.
        study = files.id if number < 7 else "lost"
        run = run_of(number, out, days=1, origin="sweep", study=study, trial=number)
        record(layout, run)
        if number < 7:
            ended = Trial(number, TrialState.COMPLETE, values=(number % 6,), runs=(run.id,))
            files.write_trials([Trial(number, TrialState.RUNNING), ended])
    record(layout, run_of(9, outs[0], days=1, marks=Marks(star=True)))
    saved = []
    for number in (5, 6):
        folder = layout.run_folder(f"20260101-000000-{number:06x}")
        saved.append(folder / "stages" / "train" / "artifacts")
        saved[-1].mkdir(parents=True)
        for path in (saved[-1], folder):
            os.utime(path, (NOW - 15 * DAY,) * 2)
    done = collect(layout, project)
    assert [has(layout, out) for out in outs] == [number < 6 for number in range(8)]
    assert done.kept == {OF_RECENT: 35, OF_MARKED: 7}
    assert [folder.exists() for folder in saved] == [True, False]


def test_candidates_and_versions_keep_their_model_rows_and_run(
    layout: Layout, project: Project, junk: Junk, tiny_built: Path
) -> None:
    model, sample, other = junk(b"model"), junk(b"sample"), junk(b"other")
    (facts,) = tiny_built.glob(".mlbench/models/flowers/candidates/*/candidate.json")
    candidate = dataclasses.replace(
        from_plain(Candidate, json.loads(facts.read_text())),
        run=run_of(1, other, days=100).id,
        source_digest=model,
        sample_digest=sample,
    )
    folder = layout.models / "flowers" / "candidates" / "one"
    folder.mkdir(parents=True)
    write_json(folder / "candidate.json", to_plain(candidate))
    record(layout, run_of(1, other, days=100))
    done = collect(layout, project)
    assert done.kept == {OF_VERSIONS: len(b"model" + b"sample" + b"other")}
    assert has(layout, model)


def test_what_the_stages_gave_last_stays(small: SmallProject, junk: Junk) -> None:
    layout = Layout(small.root)
    assert small.cli("run").returncode == 0
    first = {item.digest for item in ContentStore(layout.cache).objects()}
    small.write("params.toml", "[train]\nrate = 0.25\n")
    assert small.cli("run").returncode == 0
    for run in ExperimentStore(layout).runs():
        record(layout, dataclasses.replace(run, started="2020-01-01T00:00:00Z"))
    digest = junk(b"nobody's")
    age(layout, 3)
    done = collect(layout, load_project(layout))
    assert set(done.kept) == {OF_STAGES}
    assert done.objects == 3
    assert not has(layout, digest)
    left = {item.digest for item in ContentStore(layout.cache).objects()}
    # The clean text and the report; model and metrics of the first run are gone.
    assert len(left & first) == 2
    assert small.cli("run").returncode == 0


def test_what_is_in_use_stays_whatever_the_limit(
    layout: Layout, project: Project, tmp_path: Path
) -> None:
    (tmp_path / "new").write_bytes(b"new")
    digest = hash_file(tmp_path / "new")
    ContentStore(layout.cache).put(tmp_path / "new", digest)
    done = collect(layout, project)
    assert done.kept == {IN_USE: 3}
    assert has(layout, digest)


def test_leftovers_of_crashes_go(layout: Layout, project: Project) -> None:
    old = NOW - 20 * DAY
    forgotten = layout.state / "aside" / "train" / "build" / "model.txt"
    intended = layout.state / "aside" / "prepare" / "build" / "clean.txt"
    snapshot = layout.snapshots / "0" / "tree" / "train.py"
    lately = layout.snapshots / "1" / "tree" / "train.py"
    overtaken = layout.runs / "r1" / "stages" / "train" / "outs" / "model.txt"
    events = [layout.events / f"2026010{number}-000000-1-1.jsonl" for number in (1, 2)]
    torn = layout.state / ".stat.json.abcd1234"
    export = layout.models / "digits" / ".export-x" / "model.onnx"
    for path in (forgotten, intended, snapshot, lately, overtaken, *events, torn, export):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
        if path is not lately:
            for aged in (path, *path.parents):
                if layout.own in aged.parents:
                    os.utime(aged, (old, old))
    write_json(layout.own / "intent.json", {})
    (layout.state / "intents").mkdir()
    write_json(layout.state / "intents" / "prepare.json", {"stage": "prepare"})
    os.utime(layout.runs / "r1", (old, old))
    said = collect(layout, project, dry_run=True)
    assert said.leftovers == 6 * 5
    assert forgotten.exists()
    assert collect(layout, project).leftovers == 6 * 5
    gone = (forgotten, snapshot, overtaken, events[0], torn, export)
    assert not [path for path in gone if path.exists()]
    assert [path for path in (intended, lately, events[1]) if not path.exists()] == []
    assert collect(layout, project).leftovers == 0


def test_a_snapshot_in_which_a_stage_still_runs_stays_however_old(
    layout: Layout, project: Project
) -> None:
    tree = Snapshot(layout, "isolated-1").tree
    tree.mkdir(parents=True)
    (tree / "train.py").write_text("12345")
    with locked(Layout(tree).state / "locks" / "train.lock"):
        os.utime(tree, (NOW - 20 * DAY,) * 2)
        assert collect(layout, project).leftovers == 0
    os.utime(tree, (NOW - 20 * DAY,) * 2)
    assert collect(layout, project).leftovers == 5
    assert not tree.exists()


def test_outs_that_failed_stages_left_go_with_the_watchs_old_runs_alone(
    layout: Layout, project: Project, junk: Junk
) -> None:
    digest = junk(b"x")
    runs = [
        run_of(1, digest, days=20, origin="watch", outcome=RunOutcome.FAILED),
        run_of(
            2,
            digest,
            days=20,
            origin="watch",
            outcome=RunOutcome.FAILED,
            marks=Marks(note="look again"),
        ),
        run_of(3, digest, days=20, outcome=RunOutcome.FAILED),
        run_of(4, digest, days=2, origin="watch", outcome=RunOutcome.FAILED),
    ]
    for run in runs:
        record(layout, run)
        stage = layout.stage_folder(run.id, "train")
        started = datetime.fromisoformat(run.started).timestamp()
        for name in ("outs", "artifacts"):
            (stage / name).mkdir(parents=True)
            (stage / name / "model.txt").write_bytes(b"12345")
            os.utime(stage / name, (started, started))
        os.utime(layout.run_folder(run.id), (started, started))
    assert collect(layout, project, 10).leftovers == 10
    for name in ("outs", "artifacts"):
        kept = [(layout.stage_folder(run.id, "train") / name).exists() for run in runs]
        assert kept == [False, True, True, True]
    # The record itself is never lost.
    assert len(ExperimentStore(layout).runs()) == 4


def test_where_somebody_holds_the_loop_what_it_set_aside_is_left_alone(
    layout: Layout, project: Project
) -> None:
    incoming = layout.state / "aside" / ".incoming" / "train"
    incoming.mkdir(parents=True)
    with locked(layout.loop_lock):
        collect(layout, project)
        assert incoming.exists()
    collect(layout, project)
    assert not incoming.exists()


def test_the_limit_is_the_projects_or_a_share_of_the_disk(layout: Layout, project: Project) -> None:
    assert limit_of(dataclasses.replace(project, cache_limit=7), layout) == 7
    assert 0 < limit_of(project, layout) <= collecting.LARGEST_DEFAULT


def test_the_loop_cleans_once_its_cache_is_over_the_limit(
    layout: Layout, project: Project, junk: Junk
) -> None:
    limited = dataclasses.replace(project, cache_limit=1000)
    watch = CacheWatch(layout)
    layout.state.mkdir()
    assert watch.after_run(limited) is None
    junk(b"a" * 600)
    assert watch.after_run(limited) is None
    junk(b"b" * 500)
    done = watch.after_run(limited)
    assert done is not None
    assert (done.limit, done.objects, done.size) == (900, 1, 500)
    # Another process counts on from there.
    junk(b"c" * 400)
    assert CacheWatch(layout).after_run(limited) is None
    junk(b"d" * 200)
    done = CacheWatch(layout).after_run(limited)
    assert done is not None
    assert done.size <= 900


@pytest.mark.parametrize("torn", ["", "[]", '{"sizes": {"ab": 1}}'])
def test_a_torn_count_is_counted_anew(
    layout: Layout, project: Project, junk: Junk, torn: str
) -> None:
    limited = dataclasses.replace(project, cache_limit=1000)
    layout.state.mkdir()
    (layout.state / "cache.json").write_text(torn)
    junk(b"a" * 1100)
    assert CacheWatch(layout).after_run(limited) is not None


def test_a_cache_that_can_not_be_made_smaller_is_not_cleaned_after_every_run(
    layout: Layout, project: Project, junk: Junk
) -> None:
    limited = dataclasses.replace(project, cache_limit=100)
    record(layout, run_of(1, junk(b"x" * 500), days=1))
    layout.state.mkdir()
    watch = CacheWatch(layout)

    def cleaned() -> float:
        assert watch.after_run(limited) is None
        at: float = json.loads((layout.state / "cache.json").read_text())["at"]
        return at

    first = cleaned()
    assert first > 0
    record(layout, run_of(2, junk(b"y" * 4), days=1))
    assert cleaned() == first
    record(layout, run_of(3, junk(b"z" * 10), days=1))
    assert cleaned() > first


def test_a_run_cleans_and_says_so(small: SmallProject, tmp_path: Path) -> None:
    layout = Layout(small.root)
    small.write(
        "mlbench.toml", small.read("mlbench.toml").replace("jobs = 2", 'jobs = 2\ncache = "1KB"')
    )
    digest = keep(layout, tmp_path / "junk", b"x" * 2000)
    done = small.cli("run")
    assert done.returncode == 0, done.stderr
    (told,) = (path.read_text() for path in layout.events.glob("*.jsonl"))
    assert "the cache was over its limit" in told
    assert not has(layout, digest)
    assert small.cli("run").returncode == 0
