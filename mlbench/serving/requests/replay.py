"""What the process that replays is told, and how it is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from mlbench.domain.records import dataclass
from mlbench.domain.release import DeployedModel

RESULT_NAME = "replayed.json"
_PROGRAM = "mlbench.serving.requests.replaying"


@dataclass(frozen=True, slots=True)
class Job:
    """The newest `count` requests of the log in the folder `log` are asked again of `deployed`.

    `classes` are those of the versions that answered then, by their numbers.
    """

    log: str
    deployed: DeployedModel
    count: int
    environment: str
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def command_for(job: Path) -> list[str]:
    """The words that start the replaying process on a job's file."""
    return [sys.executable, "-P", "-m", _PROGRAM, str(job)]
