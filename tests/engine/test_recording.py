"""What a run records by itself, from real stages and the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.domain.runs import Run
from mlbench.engine.flight_files import FlightFiles, Opening
from mlbench.engine.hands.recording import RecordingHand
from mlbench.engine.leftovers import clear_leftovers
from mlbench.engine.state import Flight
from mlbench.project.config import load_project
from mlbench.project.git import code_state
from mlbench.project.layout import Layout
from mlbench.system.files import remove
from mlbench.tracking.folder import read_run
from mlbench.tracking.store import ExperimentStore
from tests.support import SmallProject, commit_all

SECRET = "sk-1234567890abcdef"


def _runs(project: SmallProject) -> list[Run]:
    layout = Layout(project.root)
    found = (read_run(folder) for folder in sorted(layout.runs.iterdir()))
    return [run for run in found if run is not None]


def _environment(project: SmallProject, run: Run) -> dict[str, Any]:
    file = Layout(project.root).run_folder(run.id) / "environment.json"
    return dict(json.loads(file.read_text()))


@pytest.fixture
def logging(small: SmallProject) -> SmallProject:
    """Its training logs parameters and tags, reads a file undeclared, and knows a secret."""
    small.write(
        "train.py",
        """
        import os
        from pathlib import Path
        import mlbench
        print("key", os.environ.get("MY_API_KEY"), "of", Path("extra.txt").read_text())
        for step in range(4):
            mlbench.log(loss=abs(2 - step), step=step)
        mlbench.log_params({"train": {"rate": 0.7, "depth": 3}})
        mlbench.set_tags("good", team="vision")
        Path("build/model.txt").write_text("model")
        Path("build/metrics.json").write_text('{"score": 0.5}')
        if os.environ.get("FAIL"):
            raise ValueError(os.environ["MY_API_KEY"])
        """,
    )
    small.write("extra.txt", "extra")
    commit_all(small.root)
    return small


def test_a_run_says_all_of_its_stages_by_itself(logging: SmallProject) -> None:
    logging.write("rule.py", "def score(rate):\n    return 2 - rate\n")
    done = logging.cli("run")
    assert done.returncode == 0, done.stderr
    (run,) = _runs(logging)
    train = run.stages["train"]
    assert [reason.kind.word for reason in train.reasons] == ["new"]
    assert set(train.inputs) == {"train.py", "build/clean.txt", "extra.txt"}
    assert train.inputs["build/clean.txt"] == run.stages["prepare"].outs["build/clean.txt"]
    assert (train.cpu_seconds or 0) > 0
    assert (train.peak_memory or 0) > 1_000_000
    assert run.metrics == {"loss": 1.0, "score": 0.5}
    loss = run.extremes["loss"]
    assert (loss.min, loss.min_step, loss.max, loss.max_step) == (0.0, 2, 2.0, 0)
    assert run.params == {"train.rate": 0.5, "train.train.rate": 0.7, "train.depth": 3}
    assert run.marks.tags == ("good", "team=vision")
    assert (run.code.dirty, run.code.changed_files, run.origin) == (True, 1, "manual")
    environment = _environment(logging, run)
    assert environment["python_version"] == sys.version.split()[0]
    assert "pytest" in environment["packages"]


def test_what_was_not_run_anew_is_told_from_where_it_ran(logging: SmallProject) -> None:
    logging.cli("run")
    logging.write("report.py", "open('build/report.txt', 'w').write('new')\n")
    logging.cli("run")
    first, second = _runs(logging)
    before, train = first.stages["train"], second.stages["train"]
    assert (train.outcome, train.ran_in) == (StageOutcome.UNCHANGED, first.id)
    assert (train.inputs, train.outs, train.metrics) == (
        before.inputs,
        before.outs,
        before.metrics,
    )
    assert (train.cpu_seconds, train.peak_memory, train.reasons) == (None, None, ())
    assert (second.extremes, second.marks.tags) == (first.extremes, first.marks.tags)
    assert second.params == first.params


def test_equal_environments_are_kept_once_and_go_with_the_last_run(logging: SmallProject) -> None:
    for rate in ("0.1", "0.2"):
        logging.write("params.toml", f"[train]\nrate = {rate}\n")
        logging.cli("run")
    layout = Layout(logging.root)
    files = [layout.run_folder(run.id) / "environment.json" for run in _runs(logging)]
    (kept,) = layout.environments.glob("*.json")
    assert {file.stat().st_ino for file in files} == {kept.stat().st_ino}


def test_environments_that_no_run_has_are_cleared(small: SmallProject) -> None:
    import os

    layout = Layout(small.root)
    layout.environments.mkdir(parents=True)
    for name in ("used", "unused", "new"):
        (layout.environments / name).write_text("{}")
    os.link(layout.environments / "used", small.root / "a run's")
    for name in ("used", "unused"):
        os.utime(layout.environments / name, (1, 1))
    clear_leftovers(layout, lambda _: True, dry_run=False)
    assert {path.name for path in layout.environments.iterdir()} == {"used", "new"}


@pytest.mark.parametrize("fail", ["", "1"])
def test_a_secret_is_nowhere_on_record(logging: SmallProject, fail: str) -> None:
    logging.write("rule.py", f'KEY = "{SECRET}"\n')
    logging.write("params.toml", f'[train]\nrate = 0.5\nurl = "https://{SECRET}@x"\n')
    config = logging.read("mlbench.toml").replace(
        '["train.rate"]', '["train"]\nenv = ["MY_API_KEY"]'
    )
    logging.write("mlbench.toml", config.replace("python train.py", f"python train.py {SECRET}"))
    done = logging.cli("run", MY_API_KEY=SECRET, FAIL=fail)
    assert done.returncode == (1 if fail else 0), done.stderr
    (run,) = _runs(logging)
    assert _environment(logging, run)["variables"]["MY_API_KEY"] == "***"
    assert run.params["train.url"] == "https://***@x"
    folder = Layout(logging.root).run_folder(run.id)
    assert 'KEY = "***"' in (folder / "diff.patch").read_text()
    log = (folder / "stages" / "train" / "log").read_text()
    assert log.startswith(f"key {'*' * len(SECRET)} of extra\n")
    if fail:
        message = f"python train.py ***: exit status 1: ValueError: {'*' * len(SECRET)}"
        assert run.stages["train"].message == message
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_failed_stage_says_why_and_what_it_had_logged(logging: SmallProject) -> None:
    logging.cli("run", FAIL="1", MY_API_KEY="not-so-secret")
    (run,) = _runs(logging)
    train = run.stages["train"]
    assert train.message.startswith("python train.py: exit status 1: ValueError")
    assert (train.metrics, train.ran_in) == ({"loss": 1.0}, run.id)
    assert set(train.inputs) == {"train.py", "build/clean.txt", "extra.txt"}
    assert train.cpu_seconds is not None


def test_show_tells_what_a_stage_used(small: SmallProject) -> None:
    small.cli("run", "prepare")
    (run,) = _runs(small)
    folder = Layout(small.root).stage_folder(run.id, "prepare")
    sample = '{"at": %d, "cpu": %d, "memory": 2000000, "processes": 1}\n'
    (folder / "system-7.jsonl").write_text(sample % (1, 90) + sample % (2, 150))
    shown = small.cli("show", run.id).stdout
    assert "cpu 150% (at most 150%), memory 2.0 MB (at most 2.0 MB)" in shown
    told = json.loads(small.cli("show", run.id, "--json").stdout)["use"]
    assert told["prepare"]["system/cpu"] == {"at": [1.0, 2.0], "values": [90.0, 150.0]}


def test_a_stock_tinydb_reads_every_run_as_soon_as_the_loop_has_ended(small: SmallProject) -> None:
    from tinydb import Query, TinyDB

    for rate in (0.5, 0.25):
        small.write("params.toml", f"[train]\nrate = {rate}\n")
        assert small.cli("run").returncode == 0
    ours = _runs(small)
    with TinyDB(Layout(small.root).experiments, access_mode="r") as stock:
        found = stock.table("runs").search(Query().params["train.rate"] >= 0.25)
    assert [document["id"] for document in found] == [run.id for run in ours]
    assert len(ours) == 2


def test_a_deleted_run_is_not_recorded_again_by_what_stands(small: SmallProject) -> None:
    commit_all(small.root)
    small.cli("run", "prepare")
    (before,) = _runs(small)
    assert small.cli("delete", "@last", "--yes").returncode == 0
    for _ in range(2):
        again = small.cli("run", "prepare")
        assert again.returncode == 0
        assert "no run on record is exactly this" in again.stdout
        assert before.name not in again.stdout
    told = json.loads(small.cli("run", "prepare", "--json").stdout.splitlines()[-1])
    assert (told["run"], told["stages"]) == (None, {"prepare": "unchanged"})
    remove(Layout(small.root).trash)
    small.cli("run", "prepare")
    assert _runs(small) == [], "nor when it can't be brought back any more"


def test_a_run_that_was_deleted_and_brought_back_stands_again(small: SmallProject) -> None:
    commit_all(small.root)
    small.cli("run", "prepare")
    (before,) = _runs(small)
    small.cli("delete", "@last", "--yes")
    small.cli("undo")
    told = json.loads(small.cli("run", "prepare", "--json").stdout.splitlines()[-1])
    assert told["run"] == before.id
    layout = Layout(small.root)
    (layout.run_folder(before.id) / "run.json").unlink()
    ExperimentStore(layout).remove(before.id)
    # As after a crash between a stage's end and the record of its run.
    small.cli("run", "prepare")
    assert len(_runs(small)) == 1


@pytest.mark.parametrize(("variable", "origin"), [("true", "ci"), ("1", "ci"), ("false", "manual")])
def test_a_run_in_ci_says_so(small: SmallProject, variable: str, origin: str) -> None:
    small.cli("run", "prepare", CI=variable)
    (run,) = _runs(small)
    assert run.origin == origin


def test_what_the_diff_leaves_out_is_named(small: SmallProject) -> None:
    commit_all(small.root)
    (small.root / "weights.bin").write_bytes(b"\0" * 1000)
    small.write(".env", "TOKEN=abc\n")
    small.cli("run", "prepare")
    (run,) = _runs(small)
    assert run.code.left_out == (".env", "weights.bin")


def test_a_run_whose_beginning_nobody_noted_does_not_pass_for_the_commit(
    small: SmallProject,
) -> None:
    commit_all(small.root)
    layout, order = Layout(small.root), ("prepare",)
    flight = Flight(
        run="20261123-091502-4f3a1c7d",
        name="brave-owl",
        origin="manual",
        started=1795424102.0,
        order=order,
        reads={},
        needs={},
        stages={},
        jobs=1,
        outcomes={"prepare": StageOutcome.FAILED},
        is_open=True,
    )
    hand, project = RecordingHand(layout), load_project(layout)
    lost = hand.close(flight, {}, project).run
    assert (lost.code.commit, lost.code.dirty) == (code_state(small.root).commit, True)
    FlightFiles(layout.flights).write_opening(flight.run, Opening(code_state(small.root)))
    assert hand.close(flight, {}, project).run.code == code_state(small.root)


def test_a_run_without_git_is_recorded_without_a_commit(small: SmallProject) -> None:
    assert small.cli("run", "prepare").returncode == 0
    (run,) = _runs(small)
    assert (run.code.commit, run.code.dirty) == (None, False)
    assert not (Layout(small.root).run_folder(run.id) / "diff.patch").exists()


def test_nothing_on_record_needs_the_tree_that_it_came_from(
    small: SmallProject, tmp_path: Path
) -> None:
    commit_all(small.root)
    small.cli("run", "prepare")
    (run,) = _runs(small)
    layout = Layout(small.root)
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("run.json", "environment.json"):
        (copied / name).write_bytes((layout.run_folder(run.id) / name).read_bytes())
    assert read_run(copied) == run


KEY_CONFIG = """\
[stages.train]
cmd = "python train.py"
params = [{"params.json" = ["api_key"]}]
"""
WITH_KEY = """\
import json, sys, time
from pathlib import Path
import mlbench
key = json.loads(Path("params.json").read_text())["api_key"]
print("key", key, flush=True)
mlbench.log_params(url=f"https://{key}@x")
while not Path("go").exists():
    time.sleep(0.01)
sys.exit(f"no entry with {key}")
"""


@pytest.fixture
def keyed(small: SmallProject) -> SmallProject:
    """Its training has a parameter that is secret; the one in the commit is none yet."""
    subprocess.run(["git", "init", "-q"], cwd=small.root, check=True)
    small.write("params.json", '{"api_key": "none"}')
    small.write("train.py", WITH_KEY)
    small.write("mlbench.toml", KEY_CONFIG)
    commit_all(small.root)
    return small


def test_a_secret_parameter_is_nowhere_below_mlbench(keyed: SmallProject) -> None:
    keyed.write("go", "")
    keyed.write("train.py", WITH_KEY.rpartition("sys.exit")[0])
    assert keyed.cli("run").returncode == 0
    keyed.write("params.json", f'{{"api_key": "{SECRET}"}}')
    assert "params.json:api_key  changed" in keyed.cli("status").stdout
    said = keyed.cli("run")
    assert said.returncode == 0
    assert SECRET not in said.stdout + said.stderr
    run = _runs(keyed)[-1]
    assert (run.params["api_key"], run.params["url"]) == ("***", f"https://{'*' * len(SECRET)}@x")
    keyed.write("train.py", WITH_KEY)
    assert keyed.cli("run").returncode == 1
    keyed.write("train.py", WITH_KEY.rpartition("sys.exit")[0])
    assert keyed.cli("lock").returncode == 0
    assert SECRET not in keyed.read("mlbench.lock")
    files = [path for path in (keyed.root / ".mlbench").rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_of_a_run_on_its_way_the_log_is_found_by_its_name(keyed: SmallProject) -> None:
    """And what is noted of its code while it lasts holds no secret."""
    keyed.write("params.json", f'{{"api_key": "{SECRET}"}}')
    command = [sys.executable, "-m", "mlbench", "-C", str(keyed.root), "run", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = next(
            event["name"]
            for event in map(json.loads, process.stdout)
            if event["event"] == "run_started"
        )
        shown = keyed.cli("show", name)
        follow = [*command[:-2], "logs", name, "train", "-f"]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            assert following.stdout.readline() == f"key {SECRET}\n"
            flights = Layout(keyed.root).flights
            looked = [path.read_text() for path in flights.glob("*.opening.json")]
            keyed.write("go", "")
            assert following.wait(30) == 0
        process.communicate(timeout=30)
    assert shown.returncode == 2
    assert shown.stderr == (
        f"mlbench: {name} is still going; `mlbench logs {name} -f` follows it\n"
    )
    assert not [text for text in looked if SECRET in text]
    assert keyed.cli("show", name).returncode == 0
