"""kill -9 of the engine, the supervisor or the stage, in each phase of a build: counted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.pipeline.builder import Build
from mlbench.system.locks import is_held
from mlbench.system.proctable import of_stage
from tests.pipeline import killing
from tests.pipeline.lab import Lab, is_clean, tree_of
from tests.support import until

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.long
KILLS_IN_EACH_PHASE = int(os.environ.get("MLBENCH_KILLS", "4"))
Outs = dict[str, bytes]

_WORK = """\
import os, sys, time
text = open("in.txt").read()
os.makedirs("many", exist_ok=True)
for number in range(4):
    open(f"many/{number}", "w").write(text)
    time.sleep(0.01)
if text.startswith("bad"):
    sys.exit(1)
open("one.txt", "w").write(text)
if text.startswith("self"):
    open("in.txt", "w").write(text)
"""
_CONFIG = """\
[stages.work]
cmd = "python -S -E work.py"
deps = ["in.txt"]
outs = ["one.txt", "many"]
"""


@dataclass(frozen=True)
class Scenario:
    """What stands in the input before, what is written then, and what the build gives."""

    name: str
    histories: tuple[str, ...]
    text: str
    outcome: str


SCENARIOS = (
    Scenario("runs", ("old",), "new", "ran"),
    Scenario("fails", ("old",), "bad", "failed"),
    Scenario("overtakes itself", ("old",), "self", "overtaken"),
    Scenario("comes back", ("new", "old"), "new", "restored"),
    Scenario("is the first", (), "new", "ran"),
)


def outs_of(root: Path) -> Outs:
    found = tree_of(root)
    return {
        name: data for name, data in found.items() if name == "one.txt" or name.startswith("many/")
    }


def outs_for(text: str) -> Outs:
    return {"one.txt": text.encode(), **{f"many/{n}": text.encode() for n in range(4)}}


def prepare(root: Path, scenario: Scenario) -> Lab:
    lab = Lab(root)
    lab.write("work.py", _WORK)
    lab.configure(_CONFIG)
    for text in scenario.histories:
        lab.write("in.txt", text)
        assert lab.build("work").outcome is StageOutcome.RAN
    lab.write("in.txt", scenario.text)
    return lab


def check(lab: Lab, scenario: Scenario) -> None:
    """After a kill: the next engine takes it up, nothing is half, and the next run is right."""
    lab.reopen()
    space = lab.workspace
    folders = [Path(launch.folder) for launch in space.intents.all()]
    for launch in space.unfinished():
        Build.adopt(space, lab.project, launch, logged=lambda folder: {}).run()
    space.recover()
    assert is_clean(lab)
    assert not is_held(lab.layout.state / "locks" / "work.lock")
    for folder in folders:
        assert of_stage(str(folder), None, None) == []
    old = outs_for(scenario.histories[-1]) if scenario.histories else {}
    assert outs_of(lab.root) in (old, outs_for(scenario.text))
    text = "bad" if scenario.text == "bad" else "new"
    lab.write("in.txt", text)
    result = lab.reopen().build("work")
    if text == "bad":
        assert result.outcome is StageOutcome.FAILED
        assert outs_of(lab.root) == old
    else:
        assert result.outcome.stands, result.message
        assert outs_of(lab.root) == outs_for(text)
        assert lab.not_fresh() == set()


def was_killed(lab: Lab, phase: str, step: int) -> bool:
    """Build in another process that kills itself there; False where it did not come to that."""
    words = [sys.executable, "-m", "tests.pipeline.killing", str(lab.root), "work", phase]
    engine = subprocess.run([*words, str(step)], cwd=REPOSITORY, capture_output=True, check=False)
    assert engine.returncode in (0, -signal.SIGKILL), engine.stderr.decode()
    return engine.returncode != 0


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.name))
def test_the_engine_may_be_killed_at_any_step(tmp_path: Path, scenario: Scenario) -> None:
    template = prepare(tmp_path / "template", scenario)
    steps = killing.Steps()
    counted = Path(shutil.copytree(template.root, tmp_path / "counted"))
    assert killing.build(counted, "work", steps) == scenario.outcome
    dice = random.Random(scenario.name)
    kills: Counter[str] = Counter()
    for phase, last in steps.taken.items():
        while kills[phase] < KILLS_IN_EACH_PHASE:
            lab = Lab(Path(shutil.copytree(template.root, tmp_path / "killed")))
            # A file that was just written is looked at more often, so that no two builds take
            # quite the same steps.
            if was_killed(lab, phase, dice.randint(1, last)):
                check(lab, scenario)
                kills[phase] += 1
            shutil.rmtree(lab.root)
    print(f"{scenario.name}: {kills.total()} kills, {dict(kills)}")


def test_every_phase_is_killed_in_some_scenario(tmp_path: Path) -> None:
    seen: set[str] = set()
    for scenario in SCENARIOS:
        steps = killing.Steps()
        lab = prepare(tmp_path / scenario.name, scenario)
        killing.build(lab.root, "work", steps)
        seen |= set(steps.taken)
    assert seen == {
        killing.HASH,
        killing.WRITE_DOWN,
        killing.SET_ASIDE,
        killing.LOOK_AGAIN,
        killing.RUN,
        killing.JUDGE,
        killing.KEEP,
        killing.RECORD,
        killing.CLEAR,
        killing.PUT_BACK,
        killing.RESTORE,
    }


@pytest.mark.parametrize("victims", ["supervisor", "stage", "supervisor and stage", "all three"])
def test_supervisor_and_stage_may_be_killed_at_any_moment(tmp_path: Path, victims: str) -> None:
    dice = random.Random(victims)
    scenario = SCENARIOS[0]
    template = prepare(tmp_path / "template", scenario)
    for number in range(KILLS_IN_EACH_PHASE):
        lab = Lab(Path(shutil.copytree(template.root, tmp_path / f"{number}")))
        words = [sys.executable, "-m", "tests.pipeline.killing", str(lab.root), "work", "", "0"]
        with subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE) as engine:
            record = lab.layout.stage_folder("run-1", "work") / "process.json"
            written = _when_written(record)
            time.sleep(dice.random() * 0.06)
            for victim in ("supervisor", "group"):
                wanted = "stage" if victim == "group" else victim
                if wanted in victims or victims == "all three":
                    _kill(written[victim][0])
            if victims == "all three":
                engine.kill()
            engine.wait(60)
        check(lab, scenario)


def _when_written(record: Path) -> dict[str, list[int]]:
    """What the supervisor writes down, once its stage's command has begun."""
    until(lambda: record.exists() and json.loads(record.read_text())["group"] is not None)
    written: dict[str, list[int]] = json.loads(record.read_text())
    return written


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
