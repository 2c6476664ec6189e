"""Starting a stage's commands and waiting for their end, whoever started them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlbench.domain.stages import Stage
from mlbench.inside import logged as logged_files
from mlbench.inside.mlflow import MLFLOW_NAME
from mlbench.inside.secrets import of_this_process
from mlbench.pipeline.launch import file_name
from mlbench.system.files import remove
from mlbench.system.locks import is_held
from mlbench.system.processes import (
    EXIT_NAME,
    StageExit,
    SupervisedStage,
    forget_ending,
    stop_leftover,
)
from mlbench.system.redaction import hide_in_file

if TYPE_CHECKING:
    from mlbench.pipeline.seen import Seen

SEEN_NAME, JUNIT_NAME, LOG_NAME = "seen", "tests.xml", "log"


class Running(Protocol):
    """A stage's commands on their way."""

    def stop(self) -> None:
        """Ask them to end; returns at once."""

    def wait(self) -> StageExit:
        """Block until they have ended, with all that they started."""


@dataclass(frozen=True, slots=True)
class Start:
    """What it takes to start a stage: where, with which environment, and where its log goes."""

    stage: Stage
    cwd: Path
    env: Mapping[str, str]
    folder: Path


class Runner(Protocol):
    """Runs stages so that they outlive whoever started them."""

    def make_ready(self, folder: Path) -> None:
        """Make a stage's folder, without what an earlier start there has left to tell."""

    def start(self, start: Start) -> Running:
        """Run the commands one after the other, until one fails."""

    def can_adopt(self, stage: str, folder: Path) -> bool:
        """Whether a stage that another process started is on its way, or ended with its exit."""

    def adopt(self, stage: str, folder: Path) -> Running:
        """A stage that another process started."""

    def stop_leftover(self, folder: Path) -> bool:
        """Stop what lives on of a stage whose supervisor is gone; True where something did."""

    def seen(self, folder: Path) -> Seen:
        """What the stage's processes were seen to read and write."""


def hide_secrets(folder: Path, others: Iterable[str] = ()) -> None:
    """Hide secrets in what an ended stage left in its folder.

    They are those of this process's environment, which what was logged has not, and `others`.
    """
    secrets = (*of_this_process(), *others)
    logged = folder.glob(f"{logged_files.PREFIX}*") if others else ()
    for path in (*(folder / name for name in (LOG_NAME, JUNIT_NAME, EXIT_NAME)), *logged):
        hide_in_file(path, secrets)


class SupervisedRunner:
    """The real one: each stage under a supervisor of its own."""

    def __init__(self, locks: Path) -> None:
        """`locks` holds one file a stage, whose flock its supervisor has while it lives."""
        self._locks = locks

    def make_ready(self, folder: Path) -> None:
        """The exit, the trace, the test results and MLflow's runs go; the log is appended to."""
        folder.mkdir(parents=True, exist_ok=True)
        forget_ending(folder)
        remove(folder / SEEN_NAME)
        remove(folder / JUNIT_NAME)
        remove(folder / MLFLOW_NAME)

    def start(self, start: Start) -> Running:
        """Under a supervisor that depends on nobody."""
        return SupervisedStage(
            start.stage.commands,
            cwd=start.cwd,
            env=start.env,
            folder=start.folder,
            lock=self._lock(start.stage.name),
            timeout=start.stage.timeout,
            launch=start.stage.launch,
        )

    def can_adopt(self, stage: str, folder: Path) -> bool:
        """By the supervisor's lock, or the exit that it wrote down."""
        return is_held(self._lock(stage)) or (folder / EXIT_NAME).exists()

    def adopt(self, stage: str, folder: Path) -> Running:
        """By the supervisor's lock and files."""
        return SupervisedStage.adopt(folder, self._lock(stage))

    def stop_leftover(self, folder: Path) -> bool:
        """By what the supervisor wrote down, and the mark in the environment."""
        was_there = stop_leftover(folder)
        hide_secrets(folder)
        return was_there

    def seen(self, folder: Path) -> Seen:
        """From the traces in the stage's folder."""
        # Late: who only looks at the tree asks of no trace.
        from mlbench.pipeline.seen import read_seen

        return read_seen(folder)

    def _lock(self, stage: str) -> Path:
        return self._locks / f"{file_name(stage)}.lock"
