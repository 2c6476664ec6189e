"""The command line with a loop that kills itself with SIGKILL at one step of one phase of a
promotion, a rollback, or the beginning of a canary.

A step is whatever the thread that releases does to the world: it opens, renames, removes or locks a
file, connects, or starts a process.
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

from mlbench.cli.main import run
from mlbench.engine.hands.going_live import GoingLive
from mlbench.engine.hands.releasing import ReleasingHand
from mlbench.engine.hands.sharing import SharingHand
from mlbench.release.registry import Registry

# The phases, in the order in which a promotion comes to them.
JUDGE, REGISTER, HAVE_UP, STAGE, SMOKE, APPEND, GO_LIVE, OUTSIDE = (
    "judge",
    "register",
    "have up",
    "stage",
    "smoke",
    "append",
    "go live",
    "tell outside",
)
OF_PROMOTION = (JUDGE, REGISTER, HAVE_UP, STAGE, SMOKE, APPEND, GO_LIVE, OUTSIDE)
OF_ROLLBACK = (JUDGE, HAVE_UP, STAGE, APPEND, GO_LIVE, OUTSIDE)
OF_CANARY = (JUDGE, REGISTER, HAVE_UP, STAGE, SMOKE, APPEND, GO_LIVE)

_STEPS = frozenset(
    {
        "open",
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.truncate",
        "fcntl.flock",
        "socket.connect",
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
        if event in _STEPS and threading.current_thread().name == "release" and self.phase:
            self.taken[self.phase] += 1
            if (self.phase, self.taken[self.phase]) == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    def in_phase(self, owner: type, method: str, phase: str) -> None:
        """Have every call of a method be a phase, inside the one that it is called from."""
        original = getattr(owner, method)

        def phased(*args: Any, **kwargs: Any) -> Any:
            before, self.phase = self.phase, phase
            try:
                return original(*args, **kwargs)
            finally:
                self.phase = before

        setattr(owner, method, phased)


def release(words: list[str], steps: Steps) -> int:
    """Run a command in the current folder, step by step; gives its exit status."""
    steps.in_phase(ReleasingHand, "promote", JUDGE)
    steps.in_phase(ReleasingHand, "rollback", JUDGE)
    steps.in_phase(SharingHand, "canary", JUDGE)
    steps.in_phase(Registry, "register", REGISTER)
    for method, phase in (
        ("_have_up", HAVE_UP),
        ("_stage", STAGE),
        ("_smoke", SMOKE),
        ("_append", APPEND),
        ("_go_live", GO_LIVE),
        ("_tell_outside", OUTSIDE),
    ):
        steps.in_phase(GoingLive, method, phase)
    sys.addaudithook(steps.hear)
    ending = run(words)
    assert isinstance(ending, int)
    return ending


if __name__ == "__main__":
    at_phase, at_step, report, *command = sys.argv[1:]
    walked = Steps(at_phase, int(at_step))
    status = release(command, walked)
    if report:
        Path(report).write_text(json.dumps(walked.taken))
    sys.exit(status)
