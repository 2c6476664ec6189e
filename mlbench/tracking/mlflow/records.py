"""A run as MLflow keeps it, wherever that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from mlbench.domain.records import dataclass

_END_OF_TIME = 253_402_300_800_000  # the year 10000

Point = tuple[str, int, float, float]
"""Name, step, value, wall time in seconds since the epoch."""

STATUSES = ("", "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
"""By the numbers that MLflow has for them."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a run logged, and where it lies."""

    id: str
    name: str
    uri: str


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """One run of MLflow; `started` and `ended` are seconds since the epoch, `ended` 0 if unknown.

    `artifacts` are the folders where its artifacts may lie, the likeliest first, and `elsewhere`
    their address where that is another machine.
    """

    id: str
    experiment: str
    name: str
    user: str
    status: str
    started: float
    ended: float
    is_deleted: bool
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[Path, ...] = ()
    elsewhere: str = ""
    models: tuple[Model, ...] = ()


class Source(Protocol):
    """Where MLflow keeps runs; what is damaged there is left out, and named in `faults`."""

    faults: list[str]

    def runs(self) -> Iterator[MlflowRun]:
        """Every run, the deleted ones too."""
        ...

    def points(self, run: MlflowRun) -> Iterator[Point]:
        """All that the run's metrics ever were."""
        ...

    def folders_of(self, uri: str, run: MlflowRun) -> tuple[Path, ...]:
        """The local folders that an address of artifacts may mean, the likeliest first."""
        ...


def moment_of(milliseconds: Any) -> float:
    """Seconds since the epoch; ValueError or TypeError for what is no time in this calendar."""
    whole = int(milliseconds)
    if not 0 <= whole < _END_OF_TIME:
        raise ValueError(f"{milliseconds!s:.50} is no time in milliseconds")
    return whole / 1000


def local_path(uri: str, base: Path) -> Path | None:
    """The path of a local address, relative ones below `base`; None for another machine's."""
    # Late, as all that is for an import alone.
    from urllib.parse import unquote, urlsplit

    scheme = urlsplit(uri).scheme
    if scheme == "file":
        return base / unquote(urlsplit(uri).path)
    return None if scheme else base / uri
