"""A project whose model is evaluated by stages of its own, and what its loop and gates say."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.commands import RunStages
from mlbench.domain.events import Event, Notice, RunFinished
from mlbench.domain.ledger import PROMOTE
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.engine.gating import Gating
from mlbench.engine.hands.exporting import ExportingHand
from mlbench.engine.releases import Releases
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout
from mlbench.tracking.query import resolve
from mlbench.tracking.store import ExperimentStore
from tests.support import Follower, SmallProject

CONFIG = """\
[project]
name = "scored"
python = "{python}"

[stages.prepare]
cmd = "python -S -E prepare.py"
deps = ["data.txt", "prepare.py"]
outs = ["build/rows.txt"]

[stages.train]
cmd = "python -S -E train.py"
deps = ["train.py", "{training}"]
params = ["at"]
outs = ["build/model.txt", "build/scale.txt"]

[stages.predict]
cmd = "python -S -E predict.py"
deps = ["predict.py", "build/model.txt", "build/scale.txt", "build/rows.txt"]
outs = ["build/predicted.csv"]

[stages.evaluate]
cmd = "python -S -E evaluate.py"
deps = ["evaluate.py", "build/predicted.csv"]
outs = [{{"build/seen.txt" = {{persist = true}}}}]
metrics = ["build/metrics.json"]

[models.cut]
stage = "train"
path = "build/model.txt"
format = "file"
predictions = "build/predicted.csv"
gates = [{gates}]

[environments.staging]
port = 8101

[environments.production]
port = 8100
"""
PREPARE = """\
rows = open("data.txt").read().split()
open("build/rows.txt", "w").write(" ".join(rows))
"""
# A "model" is a threshold: everything from it on counts as "high".
TRAIN = """\
at = open("params.toml").read().partition("=")[2].strip()
open("build/model.txt", "w").write(at)
open("build/scale.txt", "w").write("1" if float(at) < 100 else "0")
"""
PREDICT = """\
import pathlib
at, scale = float(open("build/model.txt").read()), float(open("build/scale.txt").read())
if at == 13:
    raise SystemExit("no model of today")
while pathlib.Path("hang").exists():
    pathlib.Path("hanging").touch()
with open("build/predicted.csv", "w") as out:
    out.write("truth,prediction,side\\n")
    for row in open("build/rows.txt").read().split():
        value, _, truth = row.partition("=")
        side = "low" if float(value) < 3 else "high"
        out.write(f"{truth},{int(float(value) * scale >= at)},{side}\\n")
"""
EVALUATE = """\
import json
rows = [line.split(",") for line in open("build/predicted.csv").read().split()[1:]]
right = sum(row[0] == row[1] for row in rows)
with open("build/seen.txt", "a") as seen:
    seen.write("once\\n")
json.dump({"accuracy": right / len(rows)}, open("build/metrics.json", "w"))
"""
GATE = "accuracy >= production.accuracy"
# Which of the thresholds 3 and 6 is the better one depends on the rows.
FOR_3 = "1=0 2=0 4=1 5=1"
FOR_6 = "1=0 2=0 4=0 5=0 7=1"


def write_project(root: Path) -> SmallProject:
    project = SmallProject(root)
    configure(project)
    for name, text in {
        "params.toml": "at = 3\n",
        "data.txt": FOR_3,
        "prepare.py": PREPARE,
        "train.py": TRAIN,
        "predict.py": PREDICT,
        "evaluate.py": EVALUATE,
        ".gitignore": "build/\n",
    }.items():
        project.write(name, text)
    return project


def configure(
    project: SmallProject, *gates: str, training: str = "train.py", changed: Sequence[str] = ()
) -> None:
    written = ", ".join(g if g.startswith("{") else f"'{g}'" for g in gates or (GATE,))
    config = CONFIG.format(python=sys.executable, gates=written, training=training)
    for line in changed:
        old, _, new = line.partition(" -> ")
        assert old in config
        config = config.replace(old, new)
    project.write("mlbench.toml", config)


@dataclass
class Judge:
    """Runs the pipeline in a loop of its own, and judges as a promotion does."""

    project: SmallProject
    follower: Follower
    told: list[Event]

    @property
    def layout(self) -> Layout:
        return Layout(self.project.root)

    @property
    def releases(self) -> Releases:
        return Releases(self.layout)

    def run(self) -> Run:
        """Bring everything up to date; gives the run whose results stand then."""
        self.follower.forget()
        done = self.follower.carry_out(RunStages())
        assert done.exit_status == 0, done
        ended = [event for event in self.follower.events if isinstance(event, RunFinished)]
        found = self.store.get(ended[-1].run or "")
        assert found is not None
        return found

    def newest(self) -> Run:
        found = self.store.get(resolve("@last", self.store.newest()).id)
        assert found is not None
        return found

    def candidate(self, run: Run) -> Candidate:
        """What a run gave, exported by hand where its gates would not have it."""
        registry = self.releases.registry
        found = registry.find("cut", run=run.id)
        if found is not None:
            return found
        project = load_project(self.layout)
        hand = ExportingHand(self.layout, registry, Workspace.open(self.layout))
        return hand.export(project, project.model("cut"), run, self.told.append)

    def put_live(self, run: Run, environment: str = "production") -> Candidate:
        version = self.releases.registry.register(self.candidate(run))
        self.releases.ledger.append(
            LedgerEntry(
                sequence=0,
                at="2026-11-23T09:15:02.000Z",
                action=PROMOTE,
                environment=environment,
                model="cut",
                version=version.version or 0,
                digest=version.digest,
                run=run.id,
                by="ada",
            )
        )
        return version

    @property
    def store(self) -> ExperimentStore:
        return ExperimentStore(self.layout)

    def judge(
        self, run: Run | None = None, ending: threading.Event | None = None
    ) -> tuple[GateResult, ...]:
        self.told.clear()
        layout, project = self.layout, load_project(self.layout)
        gating = Gating(layout, self.releases, Workspace.open(layout), self.store, ending)
        run = run or self.newest()
        candidate = self.releases.registry.find("cut", run=run.id)
        return gating.judge(project, project.model("cut"), run, candidate, self.told.append)

    def notices(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, Notice)]
