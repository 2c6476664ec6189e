"""Two worktrees of one repository, a loop in each: one record, and nobody in the other's way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlbench.domain.commands import RunStages
from mlbench.domain.events import RunFinished
from mlbench.engine.collecting import Collector
from mlbench.engine.health import examine
from mlbench.engine.queries import Queries
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.system.content import GRACE_SECONDS, ContentStore
from tests.pipeline.lab import CONFIG, FILES, Meeting, tree_of
from tests.support import Follower, SmallProject, commit_all, finished, outcomes, until

Both = tuple[SmallProject, SmallProject]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    """The main tree and a worktree of it."""
    main = SmallProject((tmp_path / "main").resolve())
    for name, text in FILES.items():
        main.write(name, text)
    main.write("mlbench.toml", CONFIG)
    main.write(".gitignore", "build/\n__pycache__/\n")
    commit_all(main.root)
    tree = tmp_path.resolve() / "tree"
    git(main.root, "worktree", "add", "-q", "--detach", str(tree))
    return main, SmallProject(tree)


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def meeting(tmp_path: Path) -> Iterator[Meeting]:
    made = Meeting(tmp_path / "meeting")
    yield made
    made.close()


def run(loop: Follower) -> dict[str, str]:
    loop.forget()
    loop.carry_out(RunStages())
    return outcomes(finished(loop))


def with_rate(project: SmallProject, rate: float) -> None:
    project.write("params.toml", FILES["params.toml"].replace("0.5", str(rate)))


def test_what_ran_in_one_comes_back_in_the_other(
    both: Both, follow: Callable[[Path], Follower]
) -> None:
    main, tree = both
    here, there = follow(main.root), follow(tree.root)
    assert here.session.holds_loop
    assert there.session.holds_loop
    assert set(run(here).values()) == {"ran"}
    assert set(run(there).values()) == {"restored"}
    assert tree_of(tree.root / "build") == tree_of(main.root / "build")
    # It is the state of one run; another state is another, and known to both.
    with_rate(tree, 0.25)
    assert run(there) == {"prepare": "unchanged", "train": "ran", "report": "ran"}
    assert run(here) == {"prepare": "unchanged", "train": "unchanged", "report": "unchanged"}
    with_rate(main, 0.25)
    assert run(here) == {"prepare": "unchanged", "train": "restored", "report": "unchanged"}
    runs = Queries(Layout(main.root)).runs()
    assert [one.id for one in runs] == [one.id for one in Queries(Layout(tree.root)).runs()]
    assert len(runs) == 2


def test_reasons_compare_with_what_stood_in_the_same_tree(
    both: Both, follow: Callable[[Path], Follower]
) -> None:
    main, tree = both
    here, there = follow(main.root), follow(tree.root)
    run(here)
    run(there)
    with_rate(tree, 0.25)
    run(there)
    with_rate(main, 0.75)
    (status,) = [one for one in Queries(Layout(main.root)).status().stages if one.name == "train"]
    assert [reason.detail for reason in status.reasons] == ["0.5 → 0.75"]


def test_both_run_at_once_and_each_gets_its_own(
    both: Both, follow: Callable[[Path], Follower], meeting: Meeting
) -> None:
    main, tree = both
    here, there = follow(main.root), follow(tree.root)
    main.write("report.py", FILES["report.py"] + meeting.code)
    with_rate(tree, 0.25)
    here.session.send(RunStages())
    meeting.wait()
    # While one waits in a stage, the other goes through, with a stage of the same name.
    assert run(there)["report"] == "ran"
    meeting.go_on()
    assert set(outcomes(finished(here)).values()) <= {"ran", "restored"}
    assert "-0.5" in main.read("build/model.txt")
    assert "-0.75" in tree.read("build/model.txt")
    assert len(Queries(Layout(main.root)).store().runs()) == 2
    for project in both:
        assert not Queries(Layout(project.root)).status().stale


def test_many_runs_of_both_lose_nothing(both: Both, follow: Callable[[Path], Follower]) -> None:
    loops = [follow(project.root) for project in both]
    wanted = []
    for number in range(4):
        for project, loop in zip(both, loops, strict=True):
            with_rate(project, number + (0.25 if project is both[0] else 0.5))
            loop.forget()
            wanted.append((loop, loop.session.send(RunStages())))
        for loop in loops:
            loop.wait_for(lambda event: isinstance(event, RunFinished))
    runs = Queries(Layout(both[0].root)).store().runs()
    assert len({one.params["train.rate"] for one in runs}) == 8
    traces = Workspace.open(Layout(both[0].root)).traces
    assert len({one.key for one in traces.of("train")}) == 8
    for project in both:
        assert not Queries(Layout(project.root)).status().stale


def test_a_stage_that_gives_something_else_each_time_stands_in_both(
    both: Both, follow: Callable[[Path], Follower]
) -> None:
    main, tree = both
    for project in both:
        project.write(
            "prepare.py",
            FILES["prepare.py"] + "\nimport uuid\n"
            "open('build/clean.txt', 'a').write(str(uuid.uuid4()))\n",
        )
    here, there = follow(main.root), follow(tree.root)
    run(here)
    there.forget()
    there.carry_out(RunStages(("prepare",), force=True))
    assert main.read("build/clean.txt") != tree.read("build/clean.txt")
    before = main.read("build/clean.txt")
    assert set(run(here).values()) == {"unchanged"}
    assert main.read("build/clean.txt") == before


def test_the_cleaning_keeps_what_stands_in_the_other_tree_as_long_as_there_is_one(
    both: Both, follow: Callable[[Path], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    main, tree = both
    run(follow(main.root))
    with_rate(tree, 0.25)
    there = follow(tree.root)
    run(there)
    # Or git meets a folder in which its loop still writes.
    there.session.close()
    layout = Layout(main.root)
    digest = Queries(layout).runs()[0].id
    model = Queries(layout).run(digest).stages["train"].outs["build/model.txt"]
    # No run asks for anything any more, and nothing was just used.
    monkeypatch.setattr("mlbench.engine.collecting.KEPT_DAYS", -1)
    monkeypatch.setattr("mlbench.system.content.GRACE_SECONDS", -GRACE_SECONDS)
    monkeypatch.setattr("mlbench.engine.collecting.GRACE_SECONDS", -GRACE_SECONDS)
    store = ContentStore(layout.cache)
    Collector(layout).collect(load_project(layout), 0)
    assert store.path_of(model).exists()
    git(main.root, "worktree", "remove", "--force", str(tree.root))
    Collector(layout).collect(load_project(layout), 0)
    assert not store.path_of(model).exists()


def test_what_is_on_its_way_in_one_tree_is_no_lost_run_for_the_other(
    both: Both, follow: Callable[[Path], Follower], meeting: Meeting
) -> None:
    main, tree = both
    here, there = follow(main.root), follow(tree.root)
    main.write("report.py", FILES["report.py"] + meeting.code)
    here.session.send(RunStages())
    meeting.wait()
    # Two of the run's stages stand by now, and nothing of it is on record.
    shutil.copytree(main.root / "build", tree.root / "build", dirs_exist_ok=True)
    assert there.carry_out(RunStages(("train",))).exit_status == 0
    assert list(Queries(Layout(tree.root)).store().runs()) == []
    meeting.go_on()
    until(lambda: bool(Queries(Layout(main.root)).store().runs()))
    assert len(Queries(Layout(main.root)).store().runs()) == 1


def test_a_worktree_runs_its_own_code_where_the_main_one_s_is_installed(
    both: Both, follow: Callable[[Path], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    main, tree = both
    for project in both:
        project.write("lib/rules.py", f"NAME = {project.root.name!r}\n")
        project.write("use.py", "import rules\nopen('name.txt', 'w').write(rules.NAME)\n")
        project.write("mlbench.toml", '[stages.use]\ncmd = "python use.py"\nouts = ["name.txt"]\n')
    monkeypatch.setenv("PYTHONPATH", str(main.root / "lib"))
    assert run(follow(main.root)) == {"use": "ran"}
    assert run(follow(tree.root)) == {"use": "ran"}
    assert (main.read("name.txt"), tree.read("name.txt")) == ("main", "tree")


def test_doctor_says_where_the_record_is(both: Both) -> None:
    main, tree = both
    found = {one.what: one.detail for one in examine(Layout(tree.root))}
    assert found["worktree"] == f"has its record in {main.root / '.mlbench'}"
    assert "worktree" not in {one.what for one in examine(Layout(main.root))}


def test_a_plain_script_in_a_worktree_is_on_the_one_record(both: Both) -> None:
    main, tree = both
    tree.write("script.py", "import mlbench\nmlbench.log(loss=1.0, step=0)\n")
    subprocess.run([sys.executable, "script.py"], cwd=tree.root, check=True)
    assert [one.origin for one in Queries(Layout(main.root)).runs(everything=True)] == ["script"]
    assert not (tree.root / ".mlbench" / "runs").exists()
