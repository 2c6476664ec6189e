"""Starting a stage under its supervisor, waiting for its end, stopping it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlbench.system.files import read_json
from mlbench.system.locks import locked_descriptor

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
GRACE_SECONDS = (5.0, 5.0)


@dataclass(frozen=True, slots=True)
class StageExit:
    """How a stage's commands ended; `code` is negative for a signal, as subprocess has it."""

    code: int
    command: str
    stopped: bool
    timed_out: bool
    seconds: float
    cpu_seconds: float
    peak_memory: int

    @property
    def succeeded(self) -> bool:
        """Whether every command ended with 0 and nobody stopped it."""
        return self.code == 0 and not self.stopped and not self.timed_out


class SupervisedStage:
    """One running stage; its log and its exit lie in `folder`."""

    def __init__(
        self,
        commands: tuple[str, ...],
        *,
        cwd: Path,
        env: Mapping[str, str],
        folder: Path,
        lock: Path,
        timeout: float | None = None,
        grace: tuple[float, float] = GRACE_SECONDS,
    ) -> None:
        """Start the commands under a supervisor, in sessions of their own.

        The supervisor holds the flock of `lock` until the last of them has ended.
        """
        self._exit_file = folder / "exit.json"
        self._lock = threading.Lock()
        descriptor = locked_descriptor(lock)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SUPERVISOR)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(env),
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        finally:
            # The supervisor has the lock by its copy of the descriptor; ours must not outlive it.
            os.close(descriptor)
        spec = {
            "commands": commands,
            "cwd": str(cwd),
            "log": str(folder / "log"),
            "exit": str(self._exit_file),
            "timeout": timeout,
            "grace": grace,
        }
        self._send(json.dumps(spec).encode() + b"\n")

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def stop(self) -> None:
        """Ask for SIGINT, SIGTERM and SIGKILL in turn; returns at once."""
        self._send(b"stop\n")

    def wait(self) -> StageExit:
        """Block until the stage has ended; a supervisor that was killed counts as a failure."""
        self._process.wait()
        with self._lock, contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        ending = read_json(self._exit_file)
        if ending is None:
            return StageExit(-9, "supervisor", False, False, 0.0, 0.0, 0)
        return StageExit(
            code=ending["code"],
            command=ending["command"],
            stopped=ending["stopped"],
            timed_out=ending["timed_out"],
            seconds=ending["seconds"],
            cpu_seconds=ending["cpu_seconds"],
            peak_memory=int(ending["peak_memory"]),
        )

    def _send(self, data: bytes) -> None:
        pipe = self._process.stdin
        with self._lock, contextlib.suppress(OSError, ValueError):
            if pipe is not None and not pipe.closed:
                pipe.write(data)
                pipe.flush()
