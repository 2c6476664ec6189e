"""What the workbench reads from the project's files, as frozen answers of background threads."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError
from mlbench.domain.expression import ExpressionError, parse
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.release import Candidate, EnvironmentStatus, LedgerEntry
from mlbench.domain.runs import Run
from mlbench.domain.stages import Project
from mlbench.tui.words import scalar

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries

_MOST_RECENT = 30
_WORDS = re.compile(r"[\w./\- ]*")


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


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """Which runs to show: words or an expression, and whether the watch's failures too."""

    text: str = ""
    everything: bool = False
    sort: str = ""
    descending: bool = True


@dataclass(frozen=True, slots=True)
class History:
    """The runs that were asked for, in order.

    `before` maps a run's id to the run that passed last before it; `error` says what is wrong
    with the expression, and then the runs are those of the last good one. `recent` are the
    newest of all, whatever the filter.
    """

    question: HistoryQuestion = field(default_factory=HistoryQuestion)
    runs: tuple[Run, ...] = ()
    before: Mapping[str, Run] = field(default_factory=dict)
    recent: tuple[Run, ...] = ()
    total: int = 0
    error: str = ""
    is_read: bool = False

    @property
    def latest(self) -> Run | None:
        """The newest run of all, whatever the filter."""
        return self.recent[0] if self.recent else None


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
        records = {run.id: run for run in queries.runs(everything=True)}
        rows = tuple(
            Released(row.candidate, row.environments, records.get(row.candidate.run))
            for row in queries.models()
        )
        newest_first = sorted(rows, key=lambda row: row.candidate.created, reverse=True)
        return Releases(tuple(newest_first), queries.ledger(), is_read=True)
    except MlbenchError as error:
        return Releases(problem=str(error), is_read=True)


def read_history(queries: Queries, question: HistoryQuestion, last_good: History) -> History:
    """The runs that a question asks for; a bad expression keeps the last good list."""
    everything = queries.runs(everything=True)
    shown: list[Run]
    if not question.text.strip() or is_plain_words(question.text):
        words = question.text.lower().split()
        shown = queries.runs(everything=question.everything)
        shown = [run for run in shown if all(word in _text_of(run) for word in words)]
    else:
        try:
            parse(question.text)
            shown = queries.runs(where=question.text, everything=question.everything)
        except (MlbenchError, ExpressionError) as error:
            return replace(last_good, question=question, error=str(error))
    return History(
        question=question,
        runs=tuple(in_order(shown, question.sort, descending=question.descending)),
        before=_passed_before(everything),
        recent=tuple(everything[:_MOST_RECENT]),
        total=len(everything),
        is_read=True,
    )


def is_plain_words(text: str) -> bool:
    """Whether a filter is words to look for; an expression has an operator or a call in it."""
    spaced = f" {text} "
    has_operator = any(word in spaced for word in (" and ", " or ", " not ", " - ", " / "))
    return _WORDS.fullmatch(text) is not None and not has_operator


def in_order(runs: list[Run], key: str, *, descending: bool) -> list[Run]:
    """Runs by a column's value, those without it last; by start where no key is given."""
    valued = [(value_of(run, key or "started"), run) for run in runs]
    known = [pair for pair in valued if pair[0] is not None]
    known.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=descending)
    return [run for _, run in known] + [run for value, run in valued if value is None]


def value_of(run: Run, key: str) -> str | float | None:
    """What a column sorts by: a field of the run, or a metric."""
    fields: dict[str, str | float | None] = {
        "started": run.started,
        "name": run.name,
        "seconds": run.seconds,
        "origin": run.origin,
        "commit": run.code.commit or "",
        "outcome": run.outcome.word if run.outcome else "",
    }
    return fields[key] if key in fields else run.metrics.get(key)


def _passed_before(newest_first: list[Run]) -> dict[str, Run]:
    before: dict[str, Run] = {}
    passed: Run | None = None
    for run in reversed(newest_first):
        if passed is not None:
            before[run.id] = passed
        if run.outcome is RunOutcome.PASSED:
            passed = run
    return before


def _text_of(run: Run) -> str:
    words = [
        run.name,
        run.id,
        run.origin,
        run.by,
        run.code.commit or "",
        run.marks.note,
        *run.marks.tags,
    ]
    words += [run.outcome.word if run.outcome else ""]
    words += [f"{name}={scalar(value)}" for name, value in run.params.items()]
    words += run.metrics
    return " ".join(words).lower()


def queries_of(folder: Path) -> Queries:
    """Queries on a project, imported late; UsageError where there is none."""
    from mlbench.engine.queries import Queries

    return Queries.of(folder)


def now() -> float:
    """Seconds since the epoch, the one clock that drawing uses."""
    return time.time()
