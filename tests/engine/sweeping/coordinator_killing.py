"""A coordinator that kills itself with SIGKILL at one step of one phase of its work.

A step is whatever its main thread does to the world: it opens, links, renames, removes or locks a
file, or starts a process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from mlbench.engine.sweeping.__main__ import main
from mlbench.engine.sweeping.coordinator import Coordinator

PREPARE, BEGIN, COMPLETE, FAIL, LOSE = "prepare", "begin", "complete", "fail", "lose"
PHASES = (PREPARE, BEGIN, COMPLETE, FAIL, LOSE)
_STEPS = frozenset(
    {
        "open",
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "fcntl.flock",
        "subprocess.Popen",
    }
)


class Steps:
    """Counts the steps of each phase, and ends the process at one of them."""

    def __init__(self, phase: str, number: int) -> None:
        self.phase = ""
        self.taken: Counter[str] = Counter()
        self._fatal = (phase, number)

    def hear(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if event in _STEPS and self.phase and threading.current_thread() is threading.main_thread():
            self.taken[self.phase] += 1
            if (self.phase, self.taken[self.phase]) == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    def in_phase(self, method: str, phase: str) -> None:
        """Have every call of a method be a phase, inside the one that it is called from."""
        original = getattr(Coordinator, method)

        def phased(*args: Any) -> Any:
            before, self.phase = self.phase, phase
            try:
                return original(*args)
            finally:
                self.phase = before

        setattr(Coordinator, method, phased)


if __name__ == "__main__":
    root, study, at_phase, at_step, report = sys.argv[1:]
    walked = Steps(at_phase, int(at_step))
    for each in PHASES:
        walked.in_phase(f"_{each}", each)
    sys.addaudithook(walked.hear)
    status = main(root, study)
    Path(report).write_text(json.dumps(walked.taken))
    sys.exit(status)
