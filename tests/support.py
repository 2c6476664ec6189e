"""Helpers of many tests: the real command line, a small project, waiting for what others do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlbench.domain.commands import Command
from mlbench.domain.events import CommandDone, Event
from mlbench.engine.session import Session, open_session

REPOSITORY = Path(__file__).parents[1]
PATIENCE_SECONDS = 60.0


def until(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that another process or thread brings about; fails when it does not."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


@dataclass(frozen=True)
class SmallProject:
    """Two stages and a test stage without any heavy library: quick, but run for real."""

    root: Path

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def cli(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_cli(self.root, *words, **environment)


def run_cli(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command line, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mlbench", *words],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )


CONFIG = """\
[project]
name = "small"
jobs = 2
objective = "maximize score"

[stages.prepare]
cmd = "python prepare.py"
deps = ["data.txt"]
outs = ["build/clean.txt"]

[stages.train]
cmd = "python train.py"
deps = ["build/clean.txt"]
params = ["train.rate"]
outs = ["build/model.txt"]
metrics = ["build/metrics.json"]

[stages.report]
cmd = "python report.py"
deps = ["build/clean.txt"]
outs = ["build/report.txt"]
"""
PREPARE = """\
from pathlib import Path
Path("build/clean.txt").write_text(Path("data.txt").read_text().strip().lower())
"""
TRAIN = """\
import json, tomllib
from pathlib import Path
import mlbench
from rule import score

rate = tomllib.loads(Path("params.toml").read_text())["train"]["rate"]
for step in range(3):
    mlbench.log(loss=1 / (step + 1), step=step)
    print("step", step)
Path("build/model.txt").write_text(f"model {rate} of {Path('build/clean.txt').read_text()}")
Path("build/metrics.json").write_text(json.dumps({"score": score(rate)}))
"""
REPORT = """\
from pathlib import Path
Path("build/report.txt").write_text(str(len(Path("build/clean.txt").read_text())))
"""


class Follower:
    """A session whose events are kept, so that a test can wait for what it expects."""

    def __init__(self, folder: Path) -> None:
        self.session: Session = open_session(folder)
        self.events: list[Event] = []

    def poll(self) -> None:
        self.events += self.session.poll()

    def wait_for(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event, past or future, that is wanted."""
        found: list[Event] = []

        def seen() -> bool:
            self.poll()
            found.extend(event for event in self.events if wanted(event))
            return bool(found)

        until(seen)
        return found[0]

    def carry_out(self, command: Command) -> CommandDone:
        command_id = self.session.send(command)
        done = self.wait_for(
            lambda event: isinstance(event, CommandDone) and event.command == command_id
        )
        assert isinstance(done, CommandDone)
        return done

    def forget(self) -> None:
        self.poll()
        self.events.clear()
