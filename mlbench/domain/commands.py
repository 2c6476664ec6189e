"""What a face may ask of the loop; a second terminal hands the same values over its inbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args


@dataclass(frozen=True, slots=True)
class RunStages:
    """Bring stages up to date; none named means all."""

    command: ClassVar[str] = "run"
    stages: tuple[str, ...] = ()
    force: bool = False
    origin: str = "manual"
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class StopStages:
    """Stop running stages; none named means all, and what was waiting is not started."""

    command: ClassVar[str] = "stop"
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetWatch:
    """Start runs on save, or only when asked."""

    command: ClassVar[str] = "watch"
    watching: bool


@dataclass(frozen=True, slots=True)
class Promote:
    """Make a candidate or version what an environment serves.

    `which` is what stands after @ (a version, a run, or nothing for the newest that passes).
    """

    command: ClassVar[str] = "promote"
    environment: str
    model: str | None = None
    which: str | None = None
    allow_dirty: bool = False


@dataclass(frozen=True, slots=True)
class Rollback:
    """Make an environment serve what it served before."""

    command: ClassVar[str] = "rollback"
    environment: str
    model: str | None = None


Command = RunStages | StopStages | SetWatch | Promote | Rollback
COMMANDS: dict[str, type[Command]] = {kind.command: kind for kind in get_args(Command)}
