"""What the engine and an environment's server tell each other through files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlbench.domain.errors import ServingError
from mlbench.domain.plain import from_plain, to_plain
from mlbench.domain.release import Deployment
from mlbench.domain.serving import LOOPBACK
from mlbench.system.files import read_json, write_json

_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself.

    `order` is that of the deployment it serves, `attempted` that of the newest it looked at;
    `error` says why the two differ and is empty where they don't. `staged` are the versions that
    answer beside what is live, by model; `staged_error` says why one does not. `loaded` versions
    answer by their number alone, for a client asked for them. `workers` are the process ids of
    those that answer, `processes` all that were started, each with its start time, and `restarts`
    how many were replaced.
    """

    pid: int
    port: int
    order: int = 0
    serving: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    attempted: int = 0
    staged: Mapping[str, int] = field(default_factory=dict)
    staged_error: str = ""
    host: str = LOOPBACK
    loaded: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    workers: tuple[int, ...] = ()
    processes: Mapping[str, str] = field(default_factory=dict)
    restarts: int = 0


def read_state(path: Path) -> ServerState | None:
    """The state in this file, or None where there is none that can be read."""
    try:
        return from_plain(ServerState, read_json(path))
    except _MALFORMED:
        return None


def write_state(path: Path, state: ServerState) -> None:
    """Replace the state file as a whole."""
    write_json(path, to_plain(state))


def read_deployment(path: Path) -> Deployment | None:
    """The deployment in this file, None where there is no file; ServingError where it is broken."""
    if not path.exists():
        return None
    try:
        return from_plain(Deployment, read_json(path))
    except _MALFORMED:
        raise ServingError(
            f"{path}: is no deployment that can be read; promote the model again to write it anew"
        ) from None
