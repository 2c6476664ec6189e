"""Curve files of a stage that is running, seen by another process while it writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlbench.domain.commands import RunStages
from mlbench.domain.events import RunFinished, RunStarted, StageStarted
from mlbench.engine.queries import Queries
from tests.support import Follower, SmallProject, until

CONFIG = """\
[stages.train]
cmd = "python train.py"
plots = ["log.csv"]

[stages.apart]
cmd = "python apart.py"
isolate = true
plots = ["apart.csv"]
"""
TRAIN = """\
import os, time
from pathlib import Path

def wait(word):
    while not Path(os.environ["MEETING"], word).exists():
        time.sleep(0.01)

with open("log.csv", "w") as file:
    print("step,loss", "0,1.0", "1,0.5", sep="\\n", file=file, flush=True)
    wait("go")
    print("2,0.25", file=file)
"""
APART = TRAIN.replace("log.csv", "apart.csv")


def test_a_table_is_followed_while_it_is_written(
    tmp_path: Path, follow: Callable[[Path], Follower]
) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    project = SmallProject(tmp_path / "project")
    project.write("mlbench.toml", CONFIG)
    project.write("train.py", TRAIN.replace('os.environ["MEETING"]', repr(str(meeting))))
    project.write("apart.py", APART.replace('os.environ["MEETING"]', repr(str(meeting))))
    follower = follow(project.root)
    # As an earlier run left it: what runs apart does not write here.
    project.write("apart.csv", "step,loss\n0,9\n")
    follower.session.send(RunStages(jobs=2))
    started = follower.wait_for(lambda event: isinstance(event, RunStarted))
    assert isinstance(started, RunStarted)
    for name in ("train", "apart"):
        follower.wait_for(lambda e, name=name: isinstance(e, StageStarted) and e.stage == name)  # type: ignore[misc]
    queries = Queries.of(project.root)
    folders = {name: queries.live_stage_folder(started.run, name) for name in ("train", "apart")}
    sources = {name: queries.curves(folder, name) for name, folder in folders.items()}
    until(lambda: "loss" in sources["train"].summaries())
    until(lambda: sources["train"].summaries()["loss"].count == 2)
    assert sources["apart"].summaries() == {}
    assert not (folders["train"] / "steps-plots.bin").exists()
    (meeting / "go").touch()
    follower.wait_for(lambda event: isinstance(event, RunFinished))
    for source in sources.values():
        (curve,) = source.curves(3)
        assert [column and column[0] for column in curve.columns] == [1.0, 0.5, 0.25]
    assert (folders["train"] / "steps-plots.bin").exists()
