"""A plain script's run on screen 2 while it goes: its row, its page, its curves, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run
from mlbench.tui.app import Workbench
from mlbench.tui.history import HistoryQuestion
from mlbench.tui.screens.runs import RunsPane
from tests.support import REPOSITORY
from tests.tui.screen import WIDE, line_with, screen_text, see, until

# It logs a value for each line that it reads.
SCRIPT = """\
import sys, mlbench, mlbench.inside.background
mlbench.inside.background.describe_in_background = lambda *words: None
mlbench.log_params(rate=0.125)
for step, line in enumerate(sys.stdin):
    mlbench.log(loss=float(line), step=step)
    print(step, flush=True)
"""


class Script:
    """A script that logs what it is told, and ends with its input."""

    def __init__(self, folder: Path) -> None:
        (folder / "learn.py").write_text(SCRIPT)
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        environment.pop("MLBENCH_STAGE_DIR", None)
        self.process = subprocess.Popen(
            [sys.executable, "learn.py"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def log(self, value: float) -> None:
        """Returns once it has logged the value."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{value}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline()

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without stages, so that no event of a loop tells of anything."""
    (tmp_path / "mlbench.toml").write_text('[project]\nname = "plain"\n')
    return tmp_path


@pytest.fixture
def script(project: Path) -> Iterator[Script]:
    script = Script(project)
    yield script
    script.process.kill()
    script.process.communicate()


def runs(app: Workbench) -> list[Run]:
    return list(app.known.history.runs)


async def test_a_script_begins_logs_and_ends_on_screen(project: Path, script: Script) -> None:
    app = Workbench(project)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: app.known.history.is_read, "the record was never read")
        await pilot.press("2")
        script.log(0.75)
        await until(pilot, lambda: len(runs(app)) == 1, "its beginning went unnoticed")
        (going,) = runs(app)
        assert (going.outcome, going.stages["learn"].outcome) == (None, None)
        await see(pilot, going.name, "↻")
        await pilot.press("enter")
        await see(pilot, "learn", "running", "0.125", "0.75", "still going", "its terminal has it")
        script.log(0.5)
        script.log(0.25)
        # Three points make a curve, whose last value stands beside its name.
        await until(
            pilot, lambda: "0.25" in line_with(app, "loss", "best"), "its curve stood still"
        )
        script.log(0.0625)
        await see(pilot, "0.0625")
        script.end()
        await until(pilot, lambda: "passed" in screen_text(app), "its end went unnoticed")
        await pilot.press("escape")
        await until(
            pilot,
            lambda: [run.outcome for run in runs(app)] == [RunOutcome.PASSED],
            "the table still has it going",
        )


async def test_what_is_asked_again_is_the_newest_question(project: Path, script: Script) -> None:
    app = Workbench(project)
    async with app.run_test(size=WIDE) as pilot:
        script.log(0.5)
        await until(pilot, lambda: len(runs(app)) == 1, "its beginning went unnoticed")
        await pilot.press("2")
        pane = app.query_one(RunsPane)
        pane.filter("nothing-has-this-name")
        await until(pilot, lambda: not runs(app), "the filter did nothing")
        script.end()
        await until(
            pilot,
            lambda: all(run.outcome for run in app.known.history.recent),
            "its end went unnoticed",
        )
        assert app.known.history.question == HistoryQuestion("nothing-has-this-name")
        assert runs(app) == []
