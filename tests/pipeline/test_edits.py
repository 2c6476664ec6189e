"""An edit at a random moment of a running stage never makes anything look fresh that is not."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbench.domain.outcomes import StageOutcome
from mlbench.pipeline.job import BuildResult
from tests.pipeline.lab import Lab

EDITS = 200
GROUPS = 8

# Reads each of its inputs at another moment, so that every moment is between two reads.
_SCRIPT = """\
import json, time, tomllib
def pause():
    time.sleep(0.012)
pause()
data = open("data.txt").read()
pause()
rate = tomllib.load(open("params.toml", "rb"))["rate"]
pause()
from rule import factor
pause()
extra = open("extra.txt").read()
pause()
try:
    maybe = open("maybe.txt").read()
except FileNotFoundError:
    maybe = "none"
pause()
later = open("data.txt").read()
open("out.txt", "w").write(json.dumps([data, rate, factor, extra, maybe, later]))
pause()
"""
_CONFIG = """\
[stages.work]
cmd = "python work.py"
deps = ["data.txt"]
params = ["rate"]
outs = ["out.txt"]
"""


class Work:
    """A stage with a declared, an imported, a parameter's and two undeclared inputs."""

    def __init__(self, root: Path) -> None:
        self.lab = Lab(root)
        self.inputs = {"data": "a", "rate": "1", "factor": "1", "extra": "a", "maybe": ""}
        self.other = 0
        self.lab.write("work.py", _SCRIPT)
        self.lab.configure(_CONFIG)
        for name in self.inputs:
            self.set(name, self.inputs[name])

    def set(self, name: str, value: str) -> None:
        """Write one input; the same size, so that only stamps and content tell."""
        self.inputs[name] = value
        if name == "rate":
            text = f"rate = {value}\nother = {self.other}\n"
        elif name == "factor":
            text = f"factor = {value}\n"
        else:
            text = value
        path = {"rate": "params.toml", "factor": "rule.py"}.get(name, f"{name}.txt")
        if name == "maybe" and not value:
            (self.lab.root / path).unlink(missing_ok=True)
        else:
            self.lab.write(path, text)

    def expected(self) -> str:
        now = self.inputs
        maybe = now["maybe"] or "none"
        return (
            f'["{now["data"]}", {now["rate"]}, {now["factor"]}, "{now["extra"]}", '
            f'"{maybe}", "{now["data"]}"]'
        )

    def build_with(self, edit: Callable[[], None], after: float) -> BuildResult:
        """Build, with an edit so many seconds after the command was started."""
        began = threading.Event()
        results: list[BuildResult] = []
        build = self.lab.start("work", force=True, on_start=began.set)
        thread = threading.Thread(target=lambda: results.append(build.run()))
        thread.start()
        assert began.wait(30)
        time.sleep(after)
        edit()
        thread.join()
        return results[0]

    def check(self) -> None:
        """What is called fresh is what a clean build would give."""
        out = self.lab.root / "out.txt"
        if self.lab.not_fresh() == set():
            assert out.read_text() == self.expected()

    def settle(self) -> None:
        """After a run, whatever it did, all is right."""
        result = self.lab.build("work")
        assert result.outcome.stands, result.message
        assert (self.lab.root / "out.txt").read_text() == self.expected(), result.outcome


_OTHER = {"data": "ab", "rate": "12", "factor": "12", "extra": "ab", "maybe": ("", "x")}


@pytest.mark.parametrize("seed", range(GROUPS))
def test_an_edit_at_any_moment_is_never_called_fresh(tmp_path: Path, seed: int) -> None:
    assert os.environ.get("PYTHONDONTWRITEBYTECODE") is None
    dice = random.Random(seed)
    work = Work(tmp_path / "work")
    work.settle()
    seen = set()
    for _ in range(EDITS // GROUPS):
        name = dice.choice(list(_OTHER))
        before = work.inputs[name]
        value = dice.choice([other for other in _OTHER[name] if other != before])
        # What is made and gone again within a run leaves nothing by which it could be seen.
        whiles = ["no", "after"] if name == "maybe" and not before else ["at once", "later"]
        reverts = dice.choice(["no", "after", *whiles])

        def edit(
            name: str = name, before: str = before, value: str = value, reverts: str = reverts
        ) -> None:
            work.set(name, value)
            if reverts == "later":
                time.sleep(dice.random() * 0.05)
            if reverts in ("at once", "later"):
                work.set(name, before)

        result = work.build_with(edit, dice.random() * 0.2)
        seen.add(result.outcome)
        work.check()
        if reverts == "after":
            work.set(name, before)
            work.check()
        work.settle()
    assert StageOutcome.OVERTAKEN in seen


def test_another_parameter_of_the_file_overtakes_nothing_that_has_read_it(tmp_path: Path) -> None:
    work = Work(tmp_path / "work")

    def edit() -> None:
        work.other += 1
        work.set("rate", work.inputs["rate"])

    result = work.build_with(edit, 0.15)
    assert result.outcome is StageOutcome.RAN
    assert work.lab.not_fresh() == set()
