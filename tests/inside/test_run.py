"""`with mlbench.run():` beside, inside and without other runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlbench.domain.names import friendly_name
from mlbench.domain.outcomes import RunOutcome
from mlbench.tracking.logged import read_logged
from tests.inside.conftest import Finish, Start
from tests.inside.script_runs import ALONE, runs_in, the_run
from tests.series import series_in


def test_a_run_is_what_its_block_logs(finish: Finish, tmp_path: Path) -> None:
    script = """
        with mlbench.run("deep", tags=["good"], params={"train": {"lr": 0.1}}) as run:
            mlbench.log(loss=1)
            print(run.id, run.folder, run.name)
    """
    printed = finish(ALONE + _plain(script), None).stdout.split()
    run = the_run(tmp_path)
    assert printed == [run.id, str(tmp_path / ".mlbench/runs" / run.id), "deep"]
    assert (run.name, run.outcome, run.parent) == ("deep", RunOutcome.PASSED, "")
    assert (run.params, run.metrics) == ({"train.lr": 0.1}, {"loss": 1.0})
    assert run.marks.tags == ("good",)


@pytest.mark.parametrize(
    ("raised", "outcome", "message"),
    [
        ("ValueError('no data')", RunOutcome.FAILED, "ValueError: no data"),
        ("KeyboardInterrupt", RunOutcome.CANCELLED, "interrupted"),
        ("SystemExit(2)", RunOutcome.FAILED, "exit status 2"),
        ("SystemExit(0)", RunOutcome.PASSED, ""),
    ],
)
def test_what_leaves_the_block_ends_the_run_and_goes_on_its_way(
    finish: Finish, tmp_path: Path, raised: str, outcome: RunOutcome, message: str
) -> None:
    script = f"""
        try:
            with mlbench.run():
                mlbench.log(loss=1)
                raise {raised}
        except BaseException as error:
            print(type(error).__name__)
    """
    assert finish(ALONE + _plain(script), None).stdout.strip() == raised.partition("(")[0]
    run = the_run(tmp_path)
    assert (run.outcome, run.stages["python"].message) == (outcome, message)
    assert run.name == friendly_name(run.id)


def test_one_after_the_other_and_one_in_the_other(finish: Finish, tmp_path: Path) -> None:
    script = """
        with mlbench.run("first"):
            mlbench.log(loss=1)
        with mlbench.run("second"):
            mlbench.log(loss=2)
            with mlbench.run("child"):
                mlbench.log(loss=3)
            mlbench.log(loss=4)
        mlbench.log(loss=5)
        with mlbench.run("last"):
            mlbench.log(loss=6)
    """
    finish(ALONE + _plain(script), None)
    runs = runs_in(tmp_path)
    by_name = {run.name: run for run in runs}
    own = next(run for run in runs if run.metrics["loss"] == 5)
    assert {name: run.metrics["loss"] for name, run in by_name.items()} == {
        "first": 1, "second": 4, "child": 3, own.name: 5, "last": 6,
    }  # fmt: skip
    parents = {run.name: run.parent for run in runs}
    assert parents == {
        "first": "", "second": "", "child": by_name["second"].id, own.name: "", "last": own.id,
    }  # fmt: skip
    assert {run.outcome for run in runs} == {RunOutcome.PASSED}


def test_a_process_that_a_run_started_may_have_runs_in_it(finish: Finish, tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(
        f"{ALONE}\nimport sys\n"
        "with mlbench.run('trial ' + sys.argv[1]): mlbench.log(score=int(sys.argv[1]))\n"
    )
    script = """
        import os, subprocess, sys
        with mlbench.run("study"):
            for trial in "12":
                subprocess.run([sys.executable, "trial.py", trial], check=True)
            if not os.fork():
                with mlbench.run("trial 3"):
                    mlbench.log(score=3)
                os._exit(0)
            os.wait()
            mlbench.log(best=2)
        print("MLBENCH_STAGE_DIR" in os.environ, "MLBENCH_RUN" in os.environ)
    """
    assert finish(ALONE + _plain(script), None).stdout == "False False\n"
    study, *trials = runs_in(tmp_path)
    assert (study.name, study.metrics) == ("study", {"best": 2.0})
    assert [(run.name, run.parent, run.metrics["score"], run.outcome) for run in trials] == [
        (f"trial {number}", study.id, float(number), RunOutcome.PASSED) for number in (1, 2, 3)
    ]


def test_a_thousand_runs_of_one_process_leave_nothing_open(finish: Finish, tmp_path: Path) -> None:
    script = """
        import os
        def there():
            return len(os.listdir("/dev/fd"))
        with mlbench.run(): mlbench.log(loss=1)
        before = there()
        for step in range(50):
            with mlbench.run():
                mlbench.log(loss=1)
                mlbench.set_tags("a")
        print(there() - before)
    """
    assert finish(ALONE + _plain(script), None).stdout == "0\n"
    assert len(runs_in(tmp_path)) == 51


def test_a_block_that_is_killed_takes_the_runs_around_it_with_it(
    start: Start, tmp_path: Path
) -> None:
    script = """
        import os
        with mlbench.run("outer"), mlbench.run("inner"):
            os.kill(os.getpid(), 15)
    """
    start(ALONE + _plain(script), None).wait(timeout=60)
    assert [(run.name, run.outcome) for run in runs_in(tmp_path)] == [
        ("outer", RunOutcome.CANCELLED),
        ("inner", RunOutcome.CANCELLED),
    ]


def test_in_a_stage_it_adds_to_the_stage(finish: Finish, tmp_path: Path, stage: Path) -> None:
    script = """
        import mlbench
        with mlbench.run("fine-tuning", tags={"team": "vision"}, params={"lr": 0.1}) as run:
            mlbench.log(loss=1)
        with mlbench.run(tags="good"):
            mlbench.log(loss=2)
        print(repr(run.id))
    """
    done = finish(script, stage)
    assert (done.stdout, done.stderr) == ("''\n", "")
    logged = read_logged(stage)
    assert (logged.tags, logged.params) == (("team=vision", "good"), {"lr": 0.1})
    assert logged.sections == ("fine-tuning",)
    assert series_in(stage)["loss"].values.tolist() == [1.0, 2.0]
    assert not (tmp_path / ".mlbench").exists()


def _plain(script: str) -> str:
    """Without the indentation that reads well in a test."""
    return "\n".join(line[8:] for line in script.splitlines())


def test_params_that_are_none_are_said_and_cost_neither_the_run_nor_its_tags(
    finish: Finish, tmp_path: Path
) -> None:
    script = """
        with mlbench.run("deep", tags="good", params=3):
            mlbench.log(loss=1)
    """
    said = finish(ALONE + _plain(script), None).stderr
    run = the_run(tmp_path)
    assert (run.name, run.params, run.marks.tags) == ("deep", {}, ("good",))
    assert said == (
        "mlbench: run() left its params out (pass a mapping or keywords, not int). "
        "Training goes on; said once.\n"
    )
