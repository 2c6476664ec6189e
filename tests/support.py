"""Helpers of many tests: the real command line, a small project, waiting for what others do."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.domain.commands import Command
from mlbench.domain.events import CommandDone, Event, RunFinished
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


TINY_CONFIG = """\
[project]
name = "tiny"
objective = "maximize accuracy"

[stages.train]
cmd = "python train.py"
params = ["train.c"]
outs = ["build/model.joblib", "build/test.npz"]
metrics = ["build/metrics.json"]

[models.flowers]
stage = "train"
path = "build/model.joblib"
sample = "build/test.npz"
gates = ["accuracy >= 0.8", "accuracy >= production.accuracy - 0.01", "onnx.max_rel_error <= 1e-4"]

[environments.staging]
port = {staging}

[environments.production]
port = {production}
require = ["staging"]
"""
TINY_TRAIN = """\
import json, tomllib
from pathlib import Path
import joblib, numpy
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

c = tomllib.loads(Path("params.toml").read_text())["train"]["c"]
X, y = load_iris(return_X_y=True)
X = X.astype(numpy.float32)
model = LogisticRegression(C=c, max_iter=500).fit(X[::2], y[::2])
joblib.dump(model, "build/model.joblib")
numpy.savez("build/test.npz", X=X[1::2], y=y[1::2])
accuracy = float((model.predict(X[1::2]) == y[1::2]).mean())
Path("build/metrics.json").write_text(json.dumps({"accuracy": accuracy}))
"""


def write_tiny(root: Path, staging: int, production: int) -> SmallProject:
    """A project with one real scikit-learn model: trained, exported and served in seconds."""
    project = SmallProject(root)
    project.write("mlbench.toml", TINY_CONFIG.format(staging=staging, production=production))
    project.write("params.toml", "[train]\nc = 1.0\n")
    project.write("train.py", TINY_TRAIN)
    project.write(".gitignore", "build/\n")
    return project


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def commit_all(root: Path, message: str = "work") -> None:
    """Commit everything, as a user who git does not know otherwise."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    if not (root / ".git").exists():
        subprocess.run([*git, "init", "-q"], cwd=root, check=True)
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], cwd=root, check=True)


def ask(port: int, path: str, body: object = None) -> tuple[int, Any]:
    """A plain HTTP request to a server on this machine: status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def finished(follower: Follower) -> RunFinished:
    """The first run that ended, waited for."""
    event = follower.wait_for(lambda event: isinstance(event, RunFinished))
    assert isinstance(event, RunFinished)
    return event


def outcomes(event: RunFinished) -> dict[str, str]:
    """The word of each stage's outcome."""
    return {name: outcome.word for name, outcome in event.stages.items()}
