"""What the workbench reads from the project's files, as frozen answers of background threads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError
from mlbench.domain.release import Candidate, EnvironmentStatus, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The configuration, or what is wrong with it, and how every environment's server stands."""

    project: Project | None = None
    problem: str = ""
    environments: tuple[EnvironmentStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The branch and how many files differ from its commit; None without git."""

    branch: str | None = None
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Released:
    """A candidate or version, the environments where it is live, and its run if recorded."""

    candidate: Candidate
    environments: tuple[str, ...] = ()
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Releases:
    """Candidates and versions, newest first, and the ledger, oldest first."""

    rows: tuple[Released, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    problem: str = ""
    is_read: bool = False


def read_surroundings(queries: Queries) -> Surroundings:
    """Configuration and servers as they are now."""
    try:
        return Surroundings(queries.project(), "", tuple(queries.environments()))
    except MlbenchError as error:
        return Surroundings(problem=str(error))


def read_head(queries: Queries) -> Head:
    """Where git's HEAD stands."""
    return Head(*queries.head())


def read_releases(queries: Queries) -> Releases:
    """Every candidate and version with its run, and the ledger."""
    try:
        store = queries.store()
        rows = tuple(
            Released(row.candidate, row.environments, store.get(row.candidate.run))
            for row in queries.models()
        )
        newest_first = sorted(rows, key=lambda row: row.candidate.created, reverse=True)
        return Releases(tuple(newest_first), queries.ledger(), is_read=True)
    except MlbenchError as error:
        return Releases(problem=str(error), is_read=True)


def queries_of(folder: Path) -> Queries:
    """Queries on a project, imported late; UsageError where there is none."""
    from mlbench.engine.queries import Queries

    return Queries.of(folder)


def now() -> float:
    """Seconds since the epoch, the one clock that drawing uses."""
    return time.time()
