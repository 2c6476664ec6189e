"""Runs of scripts on their way into the index: those that live, ended, died, and odd leftovers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlbench.domain.outcomes import RunOutcome
from mlbench.project.layout import Layout
from mlbench.tracking.folder import read_run, write_run
from mlbench.tracking.lines import id_of
from mlbench.tracking.store import ExperimentStore
from tests.tracking.conftest import made
from tests.tracking.processes import together

REPOSITORY = Path(__file__).parents[2]
SCRIPT = """
import sys
import mlbench
mlbench.log(loss=0.5, step=3)
print("logged", flush=True)
sys.stdin.readline()
"""


@contextmanager
def script(layout: Layout) -> Iterator[subprocess.Popen[str]]:
    """A script that has logged, and goes on until it is let go."""
    (layout.root / "train.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("MLBENCH_STAGE_DIR", None)
    process = subprocess.Popen(
        [sys.executable, "train.py"],
        cwd=layout.root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_script_is_shown_while_it_lives_and_recorded_when_it_has_ended(layout: Layout) -> None:
    store = ExperimentStore(layout)
    store.add(made(1))
    with script(layout) as process:
        first, going = store.runs()
        assert first.id == made(1).id
        assert (going.outcome, going.metrics) == (None, {"loss": 0.5})
        assert [id_of(line) for line in store.newest()] == [going.id, first.id]
        whole = store.get(going.id)
        assert whole is not None
        assert whole.outcome is None
        assert store.ids() == {made(1).id}
        process.communicate("\n")
    ended = store.runs()[1]
    assert (ended.id, ended.outcome) == (going.id, RunOutcome.PASSED)
    assert store.ids() == {made(1).id, going.id}
    recorded = read_run(layout.run_folder(going.id))
    assert recorded is not None
    assert recorded.metrics == {"loss": 0.5}
    assert list(layout.unrecorded.iterdir()) == []


def test_a_script_that_was_killed_is_never_shown_as_running(layout: Layout) -> None:
    with script(layout) as process:
        process.kill()
        process.wait()
        (run,) = ExperimentStore(layout).runs()
    assert run.outcome is RunOutcome.FAILED
    assert ExperimentStore(layout).ids() == {run.id}


LOOK = """
import sys
from pathlib import Path
from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore
store = ExperimentStore(Layout(Path(sys.argv[1])))
ready()
print(len(store.runs()), len(list(store.newest())), *store.notices)
"""


def test_many_readers_at_once_take_a_run_in_once(layout: Layout) -> None:
    for _ in range(3):
        with script(layout) as process:
            process.communicate("\n")
    assert together(LOOK, *[(str(layout.root),)] * 4) == ["3 3\n"] * 4
    assert len(ExperimentStore(layout).runs()) == 3


def test_a_run_that_was_recorded_but_not_indexed_is_taken_in(layout: Layout) -> None:
    store = ExperimentStore(layout)
    store.add(made(1))
    write_run(layout.run_folder(made(2).id), made(2))
    layout.unrecorded.mkdir()
    (layout.unrecorded / made(2).id).touch()
    assert [run.id for run in store.runs()] == [made(1).id, made(2).id]
    assert list(layout.unrecorded.iterdir()) == []


def test_a_name_without_a_run_behind_it_is_passed_over(layout: Layout) -> None:
    layout.unrecorded.mkdir()
    for name in (made(1).id, "notes.txt"):
        (layout.unrecorded / name).touch()
    assert len(ExperimentStore(layout).runs()) == 0
    write_run(layout.run_folder("a copy"), made(1))
    (layout.unrecorded / "a copy").touch()
    assert len(ExperimentStore(layout).runs()) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_who_may_only_read_sees_the_run_all_the_same(layout: Layout) -> None:
    with script(layout) as process:
        process.communicate("\n")
    layout.own.chmod(0o500)
    try:
        (run,) = ExperimentStore(layout).runs()
    finally:
        layout.own.chmod(0o700)
    assert run.outcome is RunOutcome.PASSED
