"""Programs that write one database as fast as they can, and say what was acknowledged."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

# Words: database, name, from which number on, up to which, and how much a journal may grow.
_INSERT = """\
import os, sys
from pathlib import Path
from mlbench.tracking.database import open_database, storage
path, name, first, last, growth = sys.argv[1:]
storage.LEAST_GROWTH = int(growth)
runs = open_database(Path(path)).table("runs")
for number in range(int(first), int(last)):
    token = f"{name}-{number}-{os.getpid()}"
    got = runs.insert({"token": token, "text": "x" * 100})
    os.write(1, f"{token} {got}\\n".encode())
"""
# The same with a checkpoint after every few, and updates and removals.
_CHURN = """\
import os, sys
from pathlib import Path
from mlbench.tracking.database import open_database, storage
path, name, first, last, growth = sys.argv[1:]
database = open_database(Path(path))
runs = database.table("runs")
for number in range(int(first), int(last)):
    token = f"{name}-{number}-{os.getpid()}"
    got = runs.insert({"token": token})
    runs.update({"updated": token}, doc_ids=[got])
    gone = runs.insert({"token": "gone"})
    runs.remove(doc_ids=[gone])
    os.write(1, f"{token} {got}\\n".encode())
    if not number % 5:
        database.checkpoint()
"""
PROGRAMS = {"insert": _INSERT, "churn": _CHURN}


class Writer:
    """One such program, which can be killed and started again where it was."""

    def __init__(self, kind: str, path: Path, name: str, last: int, growth: int = 20_000) -> None:
        self._kind, self._path, self._name = kind, path, name
        self._last, self._growth = last, growth
        self._said = path.parent / f"{name}.acknowledged"
        self._said.touch()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Go on behind the last document that was acknowledged."""
        words = (self._path, self._name, len(self.acknowledged()), self._last, self._growth)
        with self._said.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAMS[self._kind], *map(str, words)], stdout=said
            )

    def works_on(self) -> bool:
        """Wait until it has written one more; False where it ended before."""
        assert self.process is not None
        before = len(self.acknowledged())
        while len(self.acknowledged()) == before:
            if self.process.poll() is not None:
                return False
            time.sleep(0.001)
        return True

    def kill(self) -> bool:
        """Kill it without a word; whether it was still at work."""
        assert self.process is not None
        self.process.kill()
        return self.process.wait() == -signal.SIGKILL

    def finish(self) -> None:
        """Let it come to its end, which must be a good one."""
        assert self.process is not None
        assert self.process.wait(timeout=120) == 0

    def acknowledged(self) -> dict[str, int]:
        """The id of each document that was acknowledged, by its token."""
        lines = self._said.read_text().splitlines(keepends=True)
        words = (line.split() for line in lines if line.endswith("\n"))
        return {token: int(number) for token, number in words}
