"""Starting a stage under its supervisor, taking over one that runs, waiting for it, stopping it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbench.system.files import read_json
from mlbench.system.locks import locked_descriptor

if TYPE_CHECKING:
    from mlbench.system.proctable import Process

GRACE_SECONDS = (5.0, 5.0)
EXIT_NAME, _RECORD, _STOP = "exit.json", "process.json", "stop"


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

    def after(self, earlier: StageExit | None) -> StageExit:
        """The end of a stage that was tried before, with what all its tries have used."""
        if earlier is None:
            return self
        return replace(
            self,
            cpu_seconds=earlier.cpu_seconds + self.cpu_seconds,
            peak_memory=max(earlier.peak_memory, self.peak_memory),
        )


class SupervisedStage:
    """One stage under a supervisor that outlives this process; all it tells lies in `folder`."""

    _pid: int | None = None

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
        launch: tuple[str, ...] = (),
    ) -> None:
        """Start the commands, each behind the words of `launch`, in sessions of their own.

        Their environment is `env` with MLBENCH_STAGE_DIR, the stage's mark. Their supervisor holds
        the flock of `lock` until the last of their groups has ended; where another has it, this
        waits. `timeout` and `grace` (after SIGINT, after SIGTERM) are in seconds. OSError where no
        process can be started.
        """
        # Late, as below: who only looks at the tree starts and stops nothing.
        from mlbench.system.forkclient import FORK_SERVER
        from mlbench.system.proctable import MARK

        self._bind(folder, lock, grace)
        arguments = (
            str(self.folder),
            str(cwd.absolute()),
            "" if timeout is None else str(timeout),
            *map(str, grace),
            str(len(launch)),
            *launch,
            *commands,
        )
        descriptor = locked_descriptor(lock)
        try:
            forget_ending(folder)
            marked = {**env, MARK: str(self.folder)}
            self._pid = FORK_SERVER.start(arguments, marked, descriptor)
        finally:
            # The supervisor has the lock by its copy of the descriptor; ours must not outlive it.
            os.close(descriptor)

    @classmethod
    def adopt(
        cls, folder: Path, lock: Path, *, grace: tuple[float, float] = GRACE_SECONDS
    ) -> SupervisedStage:
        """The stage that another process started with this folder and lock, ended or not.

        `grace` counts only where its supervisor is gone and what it left has to be stopped.
        """
        stage = cls.__new__(cls)
        stage._bind(folder, lock, grace)
        return stage

    def _bind(self, folder: Path, lock: Path, grace: tuple[float, float]) -> None:
        self.folder = folder.absolute()
        self.lock = lock
        self._grace = grace

    @property
    def pid(self) -> int:
        """The supervisor's process id; ProcessLookupError where it never wrote it down."""
        if self._pid is not None:
            return self._pid
        supervisor, _ = _recorded(self.folder)
        if supervisor is None:
            raise ProcessLookupError(f"{self.folder / _RECORD}: no supervisor is written down")
        return supervisor[0]

    def stop(self) -> None:
        """Ask for SIGINT, SIGTERM and SIGKILL in turn; returns at once, also after the end."""
        from mlbench.system.proctable import send

        # A supervisor that has not written itself down yet looks for the file after it has.
        with contextlib.suppress(OSError):
            (self.folder / _STOP).touch()
        supervisor, _ = _recorded(self.folder)
        if supervisor is not None:
            send(supervisor, signal.SIGTERM)

    def wait(self) -> StageExit:
        """Block until the stage has ended; a supervisor that was killed counts as a failure.

        What such a one left running is stopped before this returns.
        """
        # Shared, so that any number may wait; and nobody starts the stage anew while it is stopped.
        descriptor = locked_descriptor(self.lock, fcntl.LOCK_SH)
        try:
            ending = ending_in(self.folder)
            if ending is None:
                stop_leftover(self.folder, grace=self._grace)
        finally:
            # Not by closing alone: a child on its way to its own program shares the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
        if ending is None:
            return StageExit(-signal.SIGKILL, "supervisor", False, False, 0.0, 0.0, 0)
        return ending


def ending_in(folder: Path) -> StageExit | None:
    """How the commands of a stage with this folder have ended; None where that isn't on record."""
    ending = read_json(folder / EXIT_NAME)
    try:
        return None if ending is None else StageExit(**ending)
    except TypeError:
        return None


def forget_ending(folder: Path) -> None:
    """Remove what an earlier start in this folder left, so that it is not taken for the next's."""
    for name in (EXIT_NAME, _RECORD, _STOP):
        (folder / name).unlink(missing_ok=True)


def stop_leftover(folder: Path, *, grace: tuple[float, float] = GRACE_SECONDS) -> bool:
    """Stop what lives on of a stage whose supervisor is gone; True if there was something.

    That is the recorded group, if its leader is still the process that it was, the leader's
    descendants, and on Linux all that bear the stage's folder in their environment. Waits until
    they are gone. The caller holds the stage's lock, or knows otherwise that its supervisor ended.
    """
    from mlbench.system.proctable import HAS_PROC, lives, of_stage
    from mlbench.system.stopping import gentle_steps, stop_in_turn

    folder = folder.absolute()
    _, leader = _recorded(folder)

    began = leader is not None and lives(leader)

    def find() -> list[Process]:
        # Where there is no mark to tell, a group that was the stage's a moment ago still is.
        ours = leader is not None and (lives(leader) or (began and not HAS_PROC))
        group = leader[0] if leader is not None and ours else None
        return of_stage(str(folder), group, group)

    return stop_in_turn(find, leader, gentle_steps(grace))


def _recorded(folder: Path) -> tuple[Process | None, Process | None]:
    """The supervisor and the group's leader, as far as they are written down."""
    record: dict[str, Any] = read_json(folder / _RECORD) or {}
    supervisor, group = record.get("supervisor"), record.get("group")
    return (
        (supervisor[0], supervisor[1]) if supervisor else None,
        (group[0], group[1]) if group else None,
    )
