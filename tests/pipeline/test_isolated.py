"""A stage that runs in a snapshot: what it gives is fresh for the inputs it was started with."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.snapshots.isolated import IsolatedBuild, unfinished
from tests.pipeline.lab import Lab, Meeting, is_clean

_CONFIG = """\
[stages.work]
cmd = "python -S -E work.py"
deps = ["in.txt"]
params = ["rate"]
outs = ["out.txt", { "counter" = { persist = true } }, { "big.txt" = { cache = false } }]
isolate = true
"""
_WORK = """\
from pathlib import Path
from rule import shout
text = Path("in.txt").read_text()
{meet}
Path("out.txt").write_text(shout(Path("in.txt").read_text()))
count = Path("counter")
count.write_text((count.read_text() if count.exists() else "") + "x")
Path("big.txt").write_text(text)
"""


@pytest.fixture
def isolated(empty: Lab, meeting: Meeting) -> Lab:
    empty.write("rule.py", "def shout(text):\n    return text.upper()\n")
    empty.write("in.txt", "first")
    empty.write("params.toml", "rate = 1\n")
    empty.write("work.py", _WORK.format(meet=""))
    empty.configure(_CONFIG)
    return empty


def build(lab: Lab, run: str = "run-1") -> IsolatedBuild:
    project = lab.project
    return IsolatedBuild(
        lab.layout,
        lab.workspace,
        project,
        project.stage("work"),
        Job(run, lab.layout.stage_folder(run, "work")),
        on_start=lambda reasons: None,
        logged=lambda folder: {},
    )


def given(lab: Lab) -> tuple[str, str, str]:
    return lab.read("out.txt"), lab.read("counter"), lab.read("big.txt")


def test_its_outs_are_brought_back_and_are_fresh(isolated: Lab) -> None:
    assert build(isolated).run().outcome is StageOutcome.RAN
    assert given(isolated) == ("FIRST", "x", "first")
    assert isolated.reopen().not_fresh() == set()
    assert build(isolated, "run-2").run().outcome is StageOutcome.UNCHANGED


def test_what_persists_goes_on_from_where_it_was(isolated: Lab) -> None:
    build(isolated).run()
    isolated.write("in.txt", "second")
    assert build(isolated, "run-2").run().outcome is StageOutcome.RAN
    assert given(isolated) == ("SECOND", "xx", "second")


def test_an_edit_while_it_runs_neither_reaches_it_nor_spoils_it(
    isolated: Lab, meeting: Meeting
) -> None:
    isolated.write("work.py", _WORK.format(meet=meeting.code))
    results: list[BuildResult] = []
    building = build(isolated)
    thread = threading.Thread(target=lambda: results.append(building.run()))
    thread.start()
    meeting.wait()
    isolated.write("in.txt", "second")
    isolated.write("rule.py", "def shout(text):\n    return text\n")
    assert building.overtaken_by() in ("in.txt", "rule.py")
    meeting.go_on()
    thread.join()
    assert results[0].outcome is StageOutcome.RAN
    assert isolated.read("out.txt") == "FIRST"
    assert isolated.not_fresh() == {"work"}
    isolated.write("in.txt", "first")
    isolated.write("rule.py", "def shout(text):\n    return text.upper()\n")
    assert isolated.not_fresh() == set()


def test_a_failure_leaves_the_project_alone(isolated: Lab) -> None:
    build(isolated).run()
    before = given(isolated)
    isolated.write("work.py", "open('out.txt', 'w').write('half')\nraise SystemExit(1)\n")
    assert build(isolated, "run-2").run().outcome is StageOutcome.FAILED
    assert given(isolated) == before
    assert is_clean(isolated)


_ENGINE = """
import sys
from pathlib import Path
from tests.pipeline.lab import Lab
from tests.pipeline.test_isolated import build
build(Lab(Path(sys.argv[1]))).run()
"""


def test_another_engine_goes_on_with_it(isolated: Lab, meeting: Meeting) -> None:
    isolated.write("work.py", _WORK.format(meet=meeting.code))
    words = [sys.executable, "-c", _ENGINE, str(isolated.root)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2]) as engine:
        meeting.wait()
        engine.kill()
    isolated.reopen()
    (found,) = unfinished(isolated.layout, isolated.workspace)
    assert (found.launch.stage.name, found.launch.run) == ("work", "run-1")
    adopted = IsolatedBuild.adopt_in(
        isolated.layout, isolated.workspace, isolated.project, found, lambda folder: {}
    )
    meeting.go_on()
    assert adopted.run().outcome is StageOutcome.RAN
    assert given(isolated) == ("FIRST", "x", "first")
    assert list(unfinished(isolated.layout, isolated.reopen().workspace)) == []
    assert isolated.not_fresh() == set()


def test_the_snapshot_is_brought_up_to_date_and_not_made_again(isolated: Lab) -> None:
    for number in range(300):
        isolated.write(f"src/module_{number}.py", f"x = {number}\n")
    # What is as young as this is copied once more: its stat can't tell yet whether it changed.
    for run, text in (("run-0", "young"), ("run-1", "old")):
        isolated.write("in.txt", text)
        build(isolated, run).run()
    (tree,) = (path / "tree" for path in isolated.layout.snapshots.iterdir())
    before = (tree / "src/module_7.py").stat()
    isolated.write("src/module_8.py", "x = 'other'\n")
    isolated.write("in.txt", "second")
    build(isolated, "run-2").run()
    assert (tree / "src/module_7.py").stat() == before
    assert (tree / "src/module_8.py").read_text() == "x = 'other'\n"
