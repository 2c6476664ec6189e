"""Bringing a run back: byte for byte, losing nothing, and never under a stage's feet."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.commands import RestoreRun, RunStages, SetWatch
from mlbench.domain.events import CommandDone, PlanMade, RunFinished, StageStarted
from mlbench.domain.outcomes import StageState
from mlbench.domain.runs import Run
from mlbench.engine import effects as do
from mlbench.engine import inputs as got
from mlbench.engine.queries import Queries
from mlbench.engine.restoring import kept_at, restoration
from mlbench.engine.way_to_code import way_to_code
from mlbench.pipeline.tree import DiskTree
from mlbench.system.content import ContentStore
from tests.engine.walk import RUN, Walk, plan, planned
from tests.pipeline.lab import FILES, PYTHON, Meeting, tree_of
from tests.support import Follower, SmallProject, commit_all, finished, until

CONFIG = f"""
[stages.prepare]
cmd = "{PYTHON} prepare.py"
deps = ["data.txt"]
params = ["prepare"]
outs = ["build/clean.txt"]

[stages.train]
cmd = "{PYTHON} train.py"
deps = ["build/clean.txt"]
params = ["train.rate"]
outs = ["build/model.txt", "build/parts", {{ "log.txt" = {{ persist = true }} }}]
metrics = ["build/metrics.json"]

[stages.report]
cmd = "{PYTHON} report.py"
deps = ["build/model.txt"]
outs = ["build/report.txt"]
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """Three stages with a folder among their outs, and one that grows from run to run."""
    made = SmallProject((tmp_path / "project").resolve())
    for name, text in FILES.items():
        made.write(name, text)
    made.write("train.py", FILES["train.py"] + "open('log.txt', 'a').write('trained\\n')\n")
    made.write("mlbench.toml", CONFIG)
    made.write(".gitignore", "build/\nlog.txt\n__pycache__/\n")
    return made


@pytest.fixture
def loop(project: SmallProject, follow: Callable[[Path], Follower]) -> Follower:
    return follow(project.root)


def build(loop: Follower, *stages: str) -> Run:
    loop.forget()
    assert loop.carry_out(RunStages(stages)).exit_status == 0
    run = finished(loop).run
    assert run is not None
    return record(loop.session.layout.root, run)


def record(root: Path, run: str) -> Run:
    return Queries.of(root).run(run)


def restore(loop: Follower, run: Run, *, overwrite: bool = False) -> tuple[int, str]:
    wanted = restoration(loop.session.layout, run)
    done = loop.carry_out(RestoreRun(run.id, wanted.stages, overwrite))
    return done.exit_status, done.message


def outs(project: SmallProject) -> dict[str, bytes]:
    return {**tree_of(project.root / "build"), "log.txt": (project.root / "log.txt").read_bytes()}


def states(project: SmallProject) -> dict[str, StageState]:
    return {one.name: one.state for one in Queries.of(project.root).status().stages}


def test_a_run_made_ten_edits_ago_comes_back_byte_for_byte(
    project: SmallProject, loop: Follower
) -> None:
    first, given = build(loop), outs(project)
    for number in range(1, 11):
        if number % 2:
            project.write("params.toml", FILES["params.toml"].replace("0.5", f"0.{number}1"))
        else:
            project.write("data.txt", f"Rows {number}\n")
        build(loop)
    assert outs(project) != given
    project.write("data.txt", FILES["data.txt"])
    assert restore(loop, first) == (
        0,
        "brought back build/clean.txt, build/model.txt, build/parts, log.txt, build/metrics.json "
        f"and set train.rate of {first.name}",
    )
    assert outs(project) == given
    digests = Queries.of(project.root).status()
    assert {status.state for status in digests.stages} == {StageState.FRESH}
    assert project.read("params.toml") == FILES["params.toml"]
    # It stands, so that nothing runs, and it is what the next reasons compare with.
    loop.forget()
    assert loop.carry_out(RunStages()).exit_status == 0
    assert {outcome.word for outcome in finished(loop).stages.values()} == {"unchanged"}
    assert restore(loop, first) == (
        0,
        f"everything of {first.name} that can be brought back is there already",
    )


def test_where_the_code_is_another_the_outs_come_back_and_are_said_to_be_stale(
    project: SmallProject, loop: Follower
) -> None:
    first, given = build(loop), outs(project)
    project.write("pkg/rule.py", "def score(rate):\n    return rate + 1\n")
    build(loop)
    assert restore(loop, first)[0] == 0
    assert outs(project) == given
    assert states(project) == {
        "prepare": StageState.FRESH,
        "train": StageState.STALE,
        "report": StageState.STALE,
    }


def test_what_somebody_changed_is_named_and_kept_when_it_is_replaced(
    project: SmallProject, loop: Follower
) -> None:
    first, given = build(loop), outs(project)
    project.write("build/model.txt", "by hand\n")
    (project.root / "build" / "parts" / "mine").write_bytes(b"mine")
    status, message = restore(loop, first)
    assert status == 2
    assert message.startswith("build/model.txt, build/parts were changed since a run gave them")
    assert project.read("build/model.txt") == "by hand\n"
    kept = kept_at(loop.session.layout, restoration(loop.session.layout, first))
    assert restore(loop, first, overwrite=True)[0] == 0
    assert outs(project) == given
    assert kept["build/model.txt"].read_text() == "by hand\n"
    listing = json.loads(kept["build/parts"].read_text())
    store = ContentStore(loop.session.layout.cache)
    assert store.path_of(listing["mine"]).read_bytes() == b"mine"


def test_what_a_run_gave_is_replaced_unasked_for_the_cache_has_it(
    project: SmallProject, loop: Follower
) -> None:
    first = build(loop)
    project.write("params.toml", FILES["params.toml"].replace("0.5", "0.7"))
    second, given = build(loop), outs(project)
    assert restore(loop, first)[0] == 0
    assert restore(loop, second)[0] == 0
    assert outs(project) == given
    assert "rate = 0.7" in project.read("params.toml")


def test_what_the_cache_has_no_more_is_named_and_the_rest_comes_back(
    project: SmallProject, loop: Follower
) -> None:
    first = build(loop)
    project.write("data.txt", "Other\n")
    build(loop)
    layout = loop.session.layout
    ContentStore(layout.cache).path_of(first.stages["train"].outs["build/model.txt"]).unlink()
    wanted = restoration(layout, first)
    assert [(out.path, out.stage) for out in wanted.gone] == [("build/model.txt", "train")]
    assert restore(loop, first)[0] == 0
    assert project.read("build/clean.txt") == "rows\nx"
    assert project.read("build/model.txt").startswith("other")
    assert states(project)["train"] is StageState.STALE


def test_where_an_out_can_t_be_put_in_its_place_all_of_its_stage_stay_as_they_were(
    project: SmallProject, loop: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(loop)
    project.write("params.toml", FILES["params.toml"].replace("0.5", "0.7"))
    build(loop)
    before, move = outs(project), DiskTree.move

    def full(tree: DiskTree, source: Path, target: Path) -> None:
        if target == project.root / "log.txt" and ".incoming" in source.parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        move(tree, source, target)

    monkeypatch.setattr(DiskTree, "move", full)
    assert restore(loop, first) == (1, f"{project.root / 'log.txt'}: No space left on device")
    assert outs(project) == before
    assert "rate = 0.7" in project.read("params.toml")
    monkeypatch.undo()
    assert restore(loop, first)[0] == 0
    assert set(states(project).values()) == {StageState.FRESH}


def test_stages_and_outs_that_are_no_more_are_left_alone(
    project: SmallProject, loop: Follower
) -> None:
    first = build(loop)
    config = CONFIG.partition("[stages.report]")[0].replace('"build/parts", ', "")
    project.write("mlbench.toml", config)
    shutil.rmtree(project.root / "build")
    (project.root / "build").mkdir()
    wanted = restoration(loop.session.layout, first)
    assert set(wanted.notes) == {
        "there is no stage report any more: its outs are left as they are",
        "build/parts is no out of train any more: it is left as it is",
    }
    assert restore(loop, first)[0] == 0
    assert not (project.root / "build" / "report.txt").exists()
    assert not (project.root / "build" / "parts").exists()
    assert (project.root / "build" / "model.txt").exists()


@pytest.fixture
def meeting(tmp_path: Path) -> Any:
    made = Meeting(tmp_path / "meeting")
    yield made
    made.close()


def test_it_waits_for_no_running_stage_but_refuses(
    project: SmallProject, loop: Follower, meeting: Meeting
) -> None:
    first = build(loop)
    project.write("report.py", FILES["report.py"] + meeting.code)
    project.write("params.toml", FILES["params.toml"].replace("0.5", "0.7"))
    loop.session.send(RunStages())
    meeting.wait()
    status, message = restore(loop, first)
    assert (status, message.partition(",")[0]) == (1, "report is running")
    assert "rate = 0.7" in project.read("params.toml")
    # What it neither reads nor writes may come back meanwhile.
    project.write("params.toml", FILES["params.toml"].replace("0.5", "0.7"))
    wanted = RestoreRun(first.id, ("prepare",))
    assert loop.carry_out(wanted).exit_status == 2  # it would change more than that
    meeting.go_on()
    loop.wait_for(lambda event: isinstance(event, RunFinished) and event.run != first.id)
    loop.forget()
    assert restore(loop, first)[0] == 0


def test_the_watch_leaves_what_was_brought_back_alone_until_the_next_edit(
    project: SmallProject, loop: Follower
) -> None:
    first, given = build(loop), outs(project)
    project.write("pkg/rule.py", "def score(rate):\n    return rate + 1\n")
    build(loop)
    assert loop.carry_out(SetWatch(True)).exit_status == 0
    loop.forget()
    assert restore(loop, first)[0] == 0
    loop.wait_for(
        lambda event: (
            isinstance(event, PlanMade)
            and {one.name for one in event.plan.stale} == {"train", "report"}
        )
    )
    project.write("report.py", FILES["report.py"].replace("[:3]", "[:2]"))
    loop.wait_for(lambda event: isinstance(event, RunFinished))
    started = [event.stage for event in loop.events if isinstance(event, StageStarted)]
    # The one edit started both; nothing else has.
    assert started == ["train", "report"]
    assert outs(project)["model.txt"] != given["model.txt"]


def test_another_terminal_has_it_done_by_the_holder(project: SmallProject, loop: Follower) -> None:
    first = build(loop)
    project.write("params.toml", FILES["params.toml"].replace("0.5", "0.7"))
    build(loop)
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(project.cli("restore", first.id).returncode)
    )
    thread.start()
    until(lambda: not thread.is_alive())
    thread.join()
    assert codes == [0]
    assert "rate = 0.5" in project.read("params.toml")
    assert set(states(project).values()) == {StageState.FRESH}


def test_an_unknown_run_is_refused(project: SmallProject, loop: Follower) -> None:
    build(loop)
    done = loop.carry_out(RestoreRun("20200101-000000-00000000"))
    assert (done.exit_status, done.message.partition('"')[0]) == (2, "there is no run ")


def test_the_way_to_the_code_is_only_printed(project: SmallProject, loop: Follower) -> None:
    assert way_to_code(loop.session.layout, build(loop))[0].startswith("# was recorded without")
    commit_all(project.root)
    project.write("pkg/rule.py", "def score(rate):\n    return rate + 2\n")
    run = build(loop)
    commit = (run.code.commit or "")[:12]
    layout = loop.session.layout
    assert way_to_code(layout, run) == ()
    patch = layout.run_folder(run.id) / "diff.patch"
    project.write("pkg/rule.py", "def score(rate):\n    return rate + 3\n")
    assert way_to_code(layout, run) == (
        "# files here differ from the commit: commit or stash them first",
        f"git checkout {commit}",
        f"git apply {patch}",
    )
    commit_all(project.root)
    assert way_to_code(layout, run) == (f"git checkout {commit}", f"git apply {patch}")


def asked(stages: tuple[str, ...]) -> got.Asked:
    return got.Asked("bring", RestoreRun("r0", stages))


def done(exit_status: int = 0) -> got.Happened:
    return got.Happened((CommandDone("", "bring", exit_status, ""),))


def test_no_stage_starts_on_outs_that_are_being_brought_back() -> None:
    walk = Walk()
    walk.feed(asked(("a",)))
    assert len(walk.of(do.CarryOut)) == 1
    walk.feed(RUN, planned(plan("a"), RUN))
    assert walk.started() == []
    walk.feed(done())
    assert walk.started() == ["a"]


def test_what_was_looked_at_before_outs_came_back_is_looked_at_again() -> None:
    walk = Walk()
    walk.feed(RUN, asked(("a",)), done(), planned(plan(), RUN))
    assert walk.started() == ["a"]


def test_what_a_holder_before_left_running_is_in_the_way() -> None:
    walk = Walk()
    walk.feed(got.Resumed((), (got.Unfinished("r0", "far"),)), asked(("a",)))
    assert [event.exit_status for event in walk.told(CommandDone)] == [1]
    assert walk.of(do.CarryOut) == []


def test_the_watch_goes_on_with_what_was_not_brought_back_and_with_what_is_edited_since() -> None:
    refused = Walk(watching=True)
    refused.feed(asked(("a",)), done(exit_status=2), planned(plan("a")))
    assert refused.started() == ["a"]
    walk = Walk(watching=True)
    walk.feed(asked(("a",)), done(), planned(plan("a")))
    walk.feed(got.TreeChanged(()), planned(plan("a")))
    assert walk.state.flights == ()
    walk.feed(got.TreeChanged(()), planned(plan("a", keys={"b": "edited"})))
    assert walk.started() == ["a"]


def test_a_loop_that_quits_brings_back_to_the_end() -> None:
    walk = Walk()
    walk.feed(asked(("a",)), got.Quit())
    assert walk.of(do.Finish) == []
    walk.feed(done())
    assert len(walk.of(do.Finish)) == 1
