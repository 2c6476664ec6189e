"""A small real project whose stages take a few hundredths of a second."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from mlbench.domain.graph import in_order, needs_of
from mlbench.domain.outcomes import StageState
from mlbench.domain.plan import StageStatus
from mlbench.domain.stages import Project
from mlbench.pipeline.builder import Build
from mlbench.pipeline.job import BuildResult, Job
from mlbench.pipeline.workspace import Workspace
from mlbench.project.config import load_project
from mlbench.project.layout import Layout

# Without site-packages an interpreter is up in a hundredth of a second.
PYTHON = "python -S -E"
BOUND_SECONDS = 30.0

CONFIG = f"""
[stages.prepare]
cmd = "{PYTHON} prepare.py"
deps = ["data.txt"]
params = ["prepare"]
env = ["LAB_VARIABLE"]
outs = ["build/clean.txt"]

[stages.train]
cmd = "{PYTHON} train.py"
deps = ["build/clean.txt"]
params = ["train.rate"]
outs = ["build/model.txt", "build/parts"]
metrics = ["build/metrics.json"]

[stages.report]
cmd = "{PYTHON} report.py"
deps = ["build/model.txt"]
outs = ["build/report.txt"]
"""
FILES = {
    "params.toml": "[prepare]\nsuffix = 'x'\n[train]\nrate = 0.5\nunused = 1\n",
    "data.txt": "Rows\n",
    "prepare.py": (
        "import os, tomllib\n"
        "params = tomllib.load(open('params.toml', 'rb'))\n"
        "rows = open('data.txt').read().lower()\n"
        "open('build/clean.txt', 'w').write(rows + params['prepare']['suffix'])\n"
    ),
    "train.py": (
        '"""Trains."""\n'
        "import json, os, tomllib\n"
        "from pkg.rule import score\n"
        "rate = tomllib.load(open('params.toml', 'rb'))['train']['rate']\n"
        "rows = open('build/clean.txt').read()\n"
        "open('build/model.txt', 'w').write(f'{rows} {score(rate)}')\n"
        "os.makedirs('build/parts/deep')\n"
        "open('build/parts/a.txt', 'w').write(rows)\n"
        "open('build/parts/deep/b.txt', 'w').write(str(rate))\n"
        "json.dump({'score': score(rate)}, open('build/metrics.json', 'w'))\n"
    ),
    "report.py": (
        "rows = open('build/model.txt').read()\nopen('build/report.txt', 'w').write(rows[:3])\n"
    ),
    "pkg/__init__.py": "",
    "pkg/rule.py": 'def score(rate):\n    """One less."""\n    return rate - 1\n',
}


class Lab:
    """A project folder with everything that builds it, and short words for what tests do."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.layout = Layout(self.root)
        self.workspace = Workspace.open(self.layout)
        self._runs = 0

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def configure(self, stages: str, python: str = sys.executable) -> None:
        self.write("mlbench.toml", f'[project]\npython = "{python}"\n{stages}')

    def fill(self) -> Lab:
        """The project of three stages that most tests begin with."""
        for name, text in FILES.items():
            self.write(name, text)
        self.configure(CONFIG)
        return self

    def reopen(self) -> Lab:
        """As another process would find the folder."""
        self.workspace = Workspace.open(self.layout)
        return self

    @property
    def project(self) -> Project:
        return load_project(self.layout)

    @property
    def order(self) -> tuple[str, ...]:
        return in_order(needs_of(self.project.stages))

    def start(
        self, name: str, *, force: bool = False, on_start: Callable[[], None] | None = None
    ) -> Build:
        self._runs += 1
        project = self.project
        run = f"run-{self._runs}"
        return Build(
            self.workspace,
            project,
            project.stage(name),
            Job(run, self.layout.stage_folder(run, name), force=force),
            on_start=lambda reasons: on_start() if on_start else None,
            logged=lambda folder: {},
        )

    def build(
        self, name: str, *, force: bool = False, on_start: Callable[[], None] | None = None
    ) -> BuildResult:
        return self.start(name, force=force, on_start=on_start).run()

    def run(self) -> dict[str, str]:
        """The outcome of every stage, each made up to date after those it needs."""
        outcomes: dict[str, str] = {}
        needs = needs_of(self.project.stages)
        for name in self.order:
            if all(outcomes[up] in ("ran", "unchanged", "restored") for up in needs[name]):
                outcomes[name] = self.build(name).outcome.word
            else:
                outcomes[name] = "blocked"
        return outcomes

    def statuses(self) -> dict[str, StageStatus]:
        return {status.name: status for status in self.workspace.plan(self.project).stages}

    def not_fresh(self) -> set[str]:
        return {
            name for name, status in self.statuses().items() if status.state is not StageState.FRESH
        }

    def reasons(self, name: str) -> list[tuple[str, str, str]]:
        return [
            (reason.kind.word, reason.what, reason.detail)
            for reason in self.statuses()[name].reasons
        ]

    def tree(self, folder: str = "build") -> dict[str, bytes]:
        """Every file below a folder with its bytes."""
        return tree_of(self.root / folder)

    def log(self, run: int, stage: str) -> str:
        return (self.layout.stage_folder(f"run-{run}", stage) / "log").read_text()


def set_aside(lab: Lab, name: str) -> None:
    """What a build does before it starts a stage, and then the process is gone."""
    stage = lab.project.stage(name)
    lab._runs += 1
    build = lab.start(name)
    fingerprint = lab.workspace.fingerprint(stage, lab.project)
    lab.workspace.outs.set_aside(build._prepare(fingerprint, ()))


def tree_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Meeting:
    """A point at which a stage stops and waits until a test has done what it wants to do."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._begun, self._go = folder / "begun", folder / "go"
        for path in (self._begun, self._go):
            os.mkfifo(path)
        # Open for both, so that neither side waits for the other when it opens its end.
        self._descriptors = [os.open(path, os.O_RDWR) for path in (self._begun, self._go)]

    @property
    def code(self) -> str:
        """What a Python script says where it wants to be met."""
        return f"open({str(self._begun)!r}, 'w').write('x')\nopen({str(self._go)!r}).read(1)\n"

    def wait(self) -> None:
        """Until the stage is at the point."""
        ready, _, _ = select.select([self._descriptors[0]], [], [], BOUND_SECONDS)
        assert ready, "the stage never came to the point"
        os.read(self._descriptors[0], 1)

    def go_on(self) -> None:
        os.write(self._descriptors[1], b"x")

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


def run_meeting(build: Build, meeting: Meeting, *deeds: Callable[[], object]) -> BuildResult:
    """Run a build and do the deeds while its stage waits at the meeting point."""
    results: list[BuildResult] = []
    thread = threading.Thread(target=lambda: results.append(build.run()))
    thread.start()
    meeting.wait()
    _do(deeds)
    meeting.go_on()
    thread.join()
    return results[0]


def _do(deeds: Iterable[Callable[[], object]]) -> None:
    for deed in deeds:
        deed()


# Writes half of everything it has to give, meets the test, and goes on or fails.
HALF = (
    "import os, sys\n"
    "open('one.txt', 'w').write('half')\n"
    "os.makedirs('many/deep')\n"
    "open('many/deep/a.txt', 'w').write('half')\n"
    "{middle}"
    "open('many/b.txt', 'w').write(open('in.txt').read())\n"
)


WHOLE = HALF.format(middle="")


OLD = {"one.txt": b"half", "many/deep/a.txt": b"half", "many/b.txt": b"first"}


def outs_of(lab: Lab) -> dict[str, bytes]:
    return {
        name: data
        for name, data in tree_of(lab.root).items()
        if name == "one.txt" or name.startswith("many/")
    }


def is_clean(lab: Lab) -> bool:
    """Whether nothing is set aside and no intent is written down."""
    return not tree_of(lab.layout.aside) and not tree_of(lab.layout.state / "intents")
