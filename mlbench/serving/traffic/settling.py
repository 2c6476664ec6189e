"""Has a canary's verdict carried out by the engine, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from mlbench.project.layout import Layout
from mlbench.serving.logging_lines import log

_FIRST_PAUSE = 5.0
_LAST_WORDS = 2000
_LONGEST_PAUSE = 300.0


class Settler:
    """Starts the command that writes ledger and Deployment, until the Deployment is there."""

    def __init__(self, layout: Layout, environment: str, words: Sequence[str] = ()) -> None:
        """`words` are the command, by default mlbench's own."""
        self._folder = layout.home
        folder = str(layout.home)
        own = [sys.executable, "-P", "-m", "mlbench", "-C", folder, "canary", "--settle"]
        self._words = list(words) or [*own, environment]
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = _FIRST_PAUSE
        self._next = 0.0

    def tick(self, now: float) -> None:
        """Start it where it is due, in seconds of any clock; each time it waits twice as long."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self._next = now + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if self._process is None and now >= self._next:
            self._start()

    @property
    def is_running(self) -> bool:
        """Whether the command is under way, as far as the last tick saw."""
        return self._process is not None

    def rest(self) -> None:
        """There is nothing to settle any more: the next verdict is carried out at once."""
        self._pause, self._next = _FIRST_PAUSE, 0.0

    def _start(self) -> None:
        """In a session of its own: it goes on where the server is stopped meanwhile.

        What it prints goes into a file that nobody else sees: of a pipe it would die then.
        """
        # Late: it is rarely needed, and slow to import.
        import tempfile

        printed = tempfile.TemporaryFile()  # noqa: SIM115 — the thread closes it
        self._process = subprocess.Popen(
            self._words,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            cwd=self._folder,
            start_new_session=True,
        )
        waiting = threading.Thread(
            target=_log_end, args=(self._process, printed), name="settling", daemon=True
        )
        waiting.start()


def _log_end(process: subprocess.Popen[bytes], printed: IO[bytes]) -> None:
    """One line in the server's log for all that the command had to say."""
    status = process.wait()
    with printed:
        printed.seek(0)
        text = printed.read()[-_LAST_WORDS:].decode(errors="replace").strip()
    log("settled" if status == 0 else "not_settled", status=status, said=text)
