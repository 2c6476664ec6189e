"""`mlbench gates`, as users call it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.project.layout import Layout
from mlbench.tracking.store import ExperimentStore
from tests.engine.scored import FOR_6, Judge, configure, write_project
from tests.support import Follower, SmallProject


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose ledger has a good promotion, then one that a stricter gate would stop."""
    root = tmp_path_factory.mktemp("gated") / "gated"
    project = write_project(root)
    follower = Follower(root)
    try:
        judge = Judge(project, follower, [])
        judge.put_live(judge.run())
        project.write("params.toml", "at = 6\n")
        judge.put_live(judge.run())
    finally:
        follower.session.close()
    return root


@pytest.fixture
def project(released: Path, tmp_path: Path) -> SmallProject:
    root = tmp_path / "gated"
    shutil.copytree(released, root, symlinks=True)
    return SmallProject(root)


def test_the_newest_run_is_judged_against_what_is_live(project: SmallProject) -> None:
    configure(project, "accuracy >= 0.5", "accuracy >= 0.9", "onnx.bytes < 9", "f1 > staging.f1")
    done = project.cli("gates")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("cut v2 of run ")
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert rows[0] == ["✓", "accuracy", ">=", "0.5", "0.5", "0.5", "+0"]
    assert rows[1][:8] == ["✗", "accuracy", ">=", "0.9", "0.5", "0.9", "-0.4", "missed"]
    assert rows[3][0] == "–"
    checked = project.cli("gates", "cut", "--check", "--json")
    assert checked.returncode == 3
    (judged,) = json.loads(checked.stdout)
    assert (judged["model"], judged["version"], judged["passed"]) == ("cut", 2, False)
    assert [gate["passed"] for gate in judged["gates"]] == [True, False, True, None]
    assert judged["gates"][3]["why"] == "nothing is live in staging yet"


def test_any_run_can_be_judged_and_check_ends_with_0_where_all_hold(project: SmallProject) -> None:
    first = json.loads(project.cli("runs", "--json").stdout)[-1]["name"]
    configure(project, "accuracy >= 0.9", '{ check = "accuracy > 1", level = "warn" }')
    done = project.cli("gates", "--run", first, "--check")
    assert done.returncode == 0, done.stderr
    assert [line[0] for line in done.stdout.splitlines()[2:]] == ["✓", "!"]


def test_what_is_live_is_scored_again_and_that_is_told(project: SmallProject) -> None:
    project.write("data.txt", FOR_6)
    project.write("params.toml", "at = 7\n")
    assert project.cli("run").returncode == 0
    (project.root / ".mlbench/state/scores.json").unlink()
    done = project.cli("gates", "--check")
    assert done.returncode == 0, done.stderr
    assert "production v2 is scored on today's evaluation data (predict, evaluate)" in done.stderr
    assert "was scored again on today's evaluation data, where accuracy was 0.5" in done.stdout


def test_a_promotion_is_refused_where_production_can_not_be_scored(project: SmallProject) -> None:
    project.write("predict.py", project.read("predict.py").replace("at == 13", "at == 6"))
    project.write("params.toml", "at = 7\n")
    assert project.cli("run").returncode == 0
    run = json.loads(project.cli("runs", "--json").stdout)[0]["id"]
    assert project.cli("export", run).returncode == 0
    refused = project.cli("promote", f"cut@{run}", "production")
    assert refused.returncode == 3
    assert "production v2 can't be scored on today's evaluation data: stage predict" in (
        refused.stderr
    )
    words = ("--force", "--reason", "the old one is broken", "--allow-dirty")
    forced = project.cli("promote", f"cut@{run}", "production", *words)
    assert forced.returncode == 0, forced.stderr
    entry = json.loads(project.cli("ledger", "--json").stdout)[-1]
    assert (entry["version"], entry["forced"]) == (3, True)
    assert [gate["passed"] for gate in entry["gates"]] == [False]


def test_a_gate_is_replayed_over_the_past_promotions(project: SmallProject) -> None:
    done = project.cli("gates", "cut", "--replay", "accuracy >= 0.9")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "would have stopped 1 of 2 promotions\n"
    first, second = (line.split() for line in done.stdout.splitlines()[2:])
    assert (first[0], *first[4:6], first[7]) == ("1", "cut", "v1", "✓")
    assert (second[0], *second[4:6], second[7]) == ("2", "cut", "v2", "✗")
    told = json.loads(project.cli("gates", "--json", "--replay").stdout)
    assert [(one["version"], one["stopped"]) for one in told] == [(1, False), (2, True)]
    assert told[0]["gates"][0]["passed"] is None
    assert (told[1]["gates"][0]["value"], told[1]["gates"][0]["threshold"]) == (0.5, 1.0)


def test_runs_that_are_gone_are_named(project: SmallProject) -> None:
    first = json.loads(project.cli("runs", "--json").stdout)[-1]["id"]
    layout = Layout(project.root)
    shutil.rmtree(layout.run_folder(first))
    ExperimentStore(layout).remove(first)
    done = project.cli("gates", "--replay", "accuracy >= 0.9")
    assert done.returncode == 0
    assert done.stderr.endswith(
        f"1 of 2 promotions; not judged, for their runs are on record no more: {first}\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cutt",), 'there is no model "cutt" (did you mean "cut"?)'),
        (("--run", "nothing"), 'there is no run "nothing"'),
        (("--replay", "accuracy >"), "--replay 'accuracy >': not an expression: accuracy >"),
        (("--replay", "x > 1", "--check"), "leave out --run and --check"),
    ],
)
def test_a_wrong_call_is_refused(
    project: SmallProject, words: tuple[str, ...], message: str
) -> None:
    done = project.cli("gates", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_before_any_promotion_there_is_nothing_to_replay(
    tmp_path: Path, follow: Callable[[Path], Follower]
) -> None:
    project = write_project(tmp_path / "new")
    done = project.cli("gates", "--replay")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "nothing was promoted yet\n"
    none = project.cli("gates")
    assert none.returncode == 2
    assert "no run has passed yet" in none.stderr
