"""A training outlives its terminal, and the workbench that is opened again shows it going on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlbench.domain.outcomes import RunOutcome
from mlbench.engine.queries import Queries
from mlbench.tui.app import Workbench
from tests.support import SmallProject, until
from tests.tui import screen
from tests.tui.screen import WIDE, see

# Makes the terminal on standard input the process's own, as a login shell has it.
_WITH_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'mlbench'])"
)


@dataclass
class Terminal:
    """A terminal of its own with a workbench in it; reads what it draws."""

    process: subprocess.Popen[bytes]
    master: int
    drawn: bytearray = field(default_factory=bytearray)

    @classmethod
    def open(cls, folder: Path) -> Terminal:
        master, slave = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", _WITH_TERMINAL],
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "36"},
            start_new_session=True,
        )
        os.close(slave)
        terminal = cls(process, master)
        threading.Thread(target=terminal._read, daemon=True).start()
        return terminal

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self.master, 65536):
                self.drawn += data

    def hang_up(self) -> None:
        """Close the terminal: its session is told so, and nothing can be drawn any more."""
        os.kill(self.process.pid, signal.SIGHUP)
        os.close(self.master)
        self.process.wait(timeout=60)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def shows(self, text: str) -> Callable[[], bool]:
        return lambda: text.encode() in self.drawn


def wait_for_train(project: SmallProject) -> None:
    stages = project.root / ".mlbench" / "runs"
    until(lambda: any(b"step 2" in log.read_bytes() for log in stages.glob("*/stages/train/log")))


@pytest.mark.parametrize("way", ["hang up", "leave"])
async def test_a_training_goes_on_and_the_reopened_workbench_shows_it(
    held: SmallProject, way: str
) -> None:
    held.write("hold", "")
    terminal = Terminal.open(held.root)
    wait_for_train(held)
    if way == "hang up":
        terminal.hang_up()
    else:
        terminal.press("q")
        until(terminal.shows("Still running"))
        terminal.press("y")
        assert terminal.process.wait(timeout=60) == 0
        os.close(terminal.master)
    assert not Queries.of(held.root).loop_is_held()
    app = Workbench(held.root)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "running 0:0", "step 2")
        (held.root / "hold").unlink()
        await screen.until(pilot, lambda: app.known.board.last is not None, "it never ended")
        last = app.known.board.last
    assert last is not None
    assert last.outcome is RunOutcome.PASSED
    (run,) = Queries.of(held.root).runs()
    assert {
        name: record.outcome and record.outcome.word for name, record in run.stages.items()
    } == {
        "prepare": "ran",
        "train": "ran",
        "report": "ran",
    }
