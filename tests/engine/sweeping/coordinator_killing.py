"""A coordinator that kills itself with SIGKILL at one step of one phase of its work.

    ROOT STUDY PHASE STEP REPORT

STEP is a number, or the name of a file: the first step that touches it. REPORT gets the number of
steps that each phase took where it is not killed.

A step is whatever the thread that is in the phase does to the world: it opens, links, renames,
removes or locks a file, or starts a process.
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
from mlbench.engine.sweeping.trial_run import SHARED, TrialRun
from mlbench.pipeline.snapshots.trial_slot import TrialSlot

# Of the coordinator itself, and of the threads of its trials.
PREPARE, BEGIN, COMPLETE, FAIL, LOSE = "prepare", "begin", "complete", "fail", "lose"
FILL, BUILD, RECORD = "fill", "build", "record"
_WHERE: dict[str, tuple[type, str]] = {
    PREPARE: (Coordinator, "_prepare"),
    BEGIN: (Coordinator, "_begin"),
    COMPLETE: (Coordinator, "_complete"),
    FAIL: (Coordinator, "_fail"),
    LOSE: (Coordinator, "_lose"),
    FILL: (TrialSlot, "prepare"),
    BUILD: (TrialRun, "_built"),
    RECORD: (TrialRun, "_record"),
}
PHASES = tuple(_WHERE)
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

    def __init__(self, phase: str, step: str) -> None:
        self._now = threading.local()
        self.taken: Counter[str] = Counter()
        self._fatal = (phase, step)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        phase = getattr(self._now, "phase", "")
        if event in _STEPS and phase:
            self.taken[phase] += 1
            touched = os.path.basename(str(arguments[0])) if arguments else ""
            if self._fatal in ((phase, str(self.taken[phase])), (phase, touched)):
                os.kill(os.getpid(), signal.SIGKILL)

    def in_phase(self, owner: type, method: str, phase: str) -> None:
        """Have every call of a method be a phase, inside the one that it is called from."""
        original = getattr(owner, method)

        def phased(*args: Any) -> Any:
            # The first run makes the index: what is lost before is found by whoever opens it next.
            if phase == RECORD and args[0].claim.number == SHARED:
                return original(*args)
            before, self._now.phase = getattr(self._now, "phase", ""), phase
            try:
                return original(*args)
            finally:
                self._now.phase = before

        setattr(owner, method, phased)


if __name__ == "__main__":
    root, study, at_phase, at_step, report = sys.argv[1:]
    walked = Steps(at_phase, at_step)
    for each, (where, name) in _WHERE.items():
        walked.in_phase(where, name, each)
    sys.addaudithook(walked.hear)
    status = main(root, study)
    Path(report).write_text(json.dumps(walked.taken))
    sys.exit(status)
