"""What a face may ask of the loop; a second terminal hands the same values over its inbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, get_args

from mlbench.domain.records import dataclass

BY_HAND, BY_CI = "manual", "ci"


def origin_of(environment: Mapping[str, str]) -> str:
    """Where a run comes from that is asked for here: by hand, or in CI.

    All services for that set the variable CI.
    """
    return BY_CI if environment.get("CI", "").lower() not in ("", "0", "false") else BY_HAND


@dataclass(frozen=True, slots=True)
class RunStages:
    """Bring stages up to date; none named means all.

    `params` sets parameters for this run alone, which then leaves the project's files as they are:
    plain JSON values by dotted key, after `FILE:` where that is not the project's params file.
    """

    command: ClassVar[str] = "run"
    stages: tuple[str, ...] = ()
    force: bool = False
    origin: str = BY_HAND
    jobs: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StopStages:
    """Stop running stages; none named means all, and what was waiting is not started.

    `run` narrows it to one run, named by its id or by that of the command that asked for it.
    """

    command: ClassVar[str] = "stop"
    stages: tuple[str, ...] = ()
    run: str | None = None


@dataclass(frozen=True, slots=True)
class SetWatch:
    """Start runs on save, or only when asked."""

    command: ClassVar[str] = "watch"
    watching: bool


@dataclass(frozen=True, slots=True)
class Promote:
    """Make a candidate or version what an environment serves.

    `which` is what stands after @ (a version, a run, or nothing for the newest that passes).
    `force` overrules gates and rules, and then needs a `reason`.
    """

    command: ClassVar[str] = "promote"
    environment: str
    model: str | None = None
    which: str | None = None
    allow_dirty: bool = False
    force: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Make an environment serve what it served before."""

    command: ClassVar[str] = "rollback"
    environment: str
    model: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetTraffic:
    """Share the requests for a model among versions: `weights` by version; empty gives all back.

    What a version needs to be promoted it needs here too, unless it stands there already.
    """

    command: ClassVar[str] = "traffic"
    environment: str
    model: str
    weights: Mapping[str, float] = field(default_factory=dict)
    allow_dirty: bool = False
    force: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StartCanary:
    """Give a candidate or version a growing share of the requests until it passes or fails."""

    command: ClassVar[str] = "canary"
    environment: str
    model: str | None = None
    which: str | None = None
    allow_dirty: bool = False
    force: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StartShadow:
    """Copy requests to a candidate or version, whose answers are compared and never returned."""

    command: ClassVar[str] = "shadow"
    environment: str
    model: str | None = None
    which: str | None = None


@dataclass(frozen=True, slots=True)
class EndTrial:
    """End a model's canary or shadow, as `kind` says, before it has ended by itself."""

    command: ClassVar[str] = "end_trial"
    kind: str
    environment: str
    model: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ExportRun:
    """Export the models of a run, or one of them, and give what comes of it a version."""

    command: ClassVar[str] = "export"
    run: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class RestoreRun:
    """Bring outs and parameters of a run back.

    `stages` are those whose outs that changes. Without `overwrite` it is refused where it would
    take the place of what no run has given.
    """

    command: ClassVar[str] = "restore"
    run: str
    stages: tuple[str, ...] = ()
    overwrite: bool = False


Release = Promote | Rollback | SetTraffic | StartCanary | StartShadow | EndTrial | ExportRun
Command = RunStages | StopStages | SetWatch | Release | RestoreRun
COMMANDS: dict[str, type[Command]] = {kind.command: kind for kind in get_args(Command)}
