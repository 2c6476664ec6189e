"""What is read about one candidate or version, a promotion to come, and the ledger."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.content import Content

from mlbench.domain.comparison import ComparedRow
from mlbench.domain.errors import MlbenchError
from mlbench.domain.moments import moment_in
from mlbench.domain.release import Candidate, GateResult, LedgerEntry
from mlbench.tui.draw.card import card_lines
from mlbench.tui.reading import Released, now

if TYPE_CHECKING:
    from mlbench.engine.queries import Queries
    from mlbench.engine.release_queries import ReleaseFiles


@dataclass(frozen=True, slots=True)
class ReleaseQuestion:
    """Whose folder to read."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class ReleaseDetail:
    """What lies in the folder of a candidate or version."""

    question: ReleaseQuestion
    files: ReleaseFiles | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class GatesQuestion:
    """Whose gates to judge against what is live now, before it goes to an environment."""

    candidate: Candidate
    environment: str


@dataclass(frozen=True, slots=True)
class GatesToday:
    """Gates as they are judged now, or why they can't be."""

    question: GatesQuestion
    gates: tuple[GateResult, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LedgerQuestion:
    """What was live at a time, as the user wrote it; now where it is empty."""

    at: str = ""


@dataclass(frozen=True, slots=True)
class LedgerLook:
    """What was live at the time, and what is wrong with the ledger's chain, if anything is.

    `moment` is that time as the ledger writes it; `behind` names an environment that is not told
    to serve what the ledger says; `problem` says why nothing can be told of the time. `untold` are
    the entries whose `on_promote` failed, by number, and how.
    """

    question: LedgerQuestion
    moment: str = ""
    live: tuple[LedgerEntry, ...] = ()
    fault: str = ""
    behind: str = ""
    problem: str = ""
    untold: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SidesQuestion:
    """Which two candidates or versions to put side by side, what is compared with first."""

    first: Released
    second: Released


@dataclass(frozen=True, slots=True)
class VersionsCompared:
    """All that two versions have, differences first within each kind."""

    question: SidesQuestion
    rows: tuple[ComparedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class CardQuestion:
    """Which card, in Markdown, to lay out in how many cells."""

    markdown: str
    width: int


@dataclass(frozen=True, slots=True)
class CardLines:
    """A card in lines."""

    question: CardQuestion
    lines: tuple[Content, ...] = ()


ReleaseAsk = ReleaseQuestion | GatesQuestion | LedgerQuestion | SidesQuestion | CardQuestion
ReleaseAnswer = ReleaseDetail | GatesToday | LedgerLook | VersionsCompared | CardLines


def lay_out(question: CardQuestion) -> CardLines:
    """The lines of a card."""
    return CardLines(question, card_lines(question.markdown, question.width))


class ReleaseReader:
    """Answers such questions about one project."""

    def __init__(self, queries: Queries) -> None:
        """Look into this project."""
        self._queries = queries
        self._ending = threading.Event()

    def end(self) -> None:
        """Stop what takes long."""
        self._ending.set()

    def files(self, question: ReleaseQuestion) -> ReleaseDetail:
        """What lies beside a model now."""
        from mlbench.engine.release_queries import release_files

        try:
            files = release_files(self._queries, question.candidate)
            return ReleaseDetail(question, files)
        except (MlbenchError, OSError) as error:
            return ReleaseDetail(question, problem=str(error))

    def gates(self, question: GatesQuestion) -> GatesToday:
        """The gates as they would be judged now."""
        from mlbench.engine.release_queries import gates_today

        try:
            gates = gates_today(self._queries, question.candidate, self._ending)
            return GatesToday(question, gates)
        except MlbenchError as error:
            return GatesToday(question, problem=str(error))

    def ledger(self, question: LedgerQuestion) -> LedgerLook:
        """Whether the ledger is whole, and what was live at a time."""
        from mlbench.engine.release_queries import untold

        queries, look = self._queries, LedgerLook(question)
        try:
            look = replace(look, fault=queries.ledger_fault() or "")
            look = replace(look, behind=queries.behind_ledger() or "")
            look = replace(look, untold=untold(queries, queries.ledger()))
            if not question.at:
                return look
            moment = moment_in(question.at, now())
            return replace(look, moment=moment, live=queries.live_at(moment))
        except MlbenchError as error:
            return replace(look, problem=str(error))

    def compare(self, question: SidesQuestion) -> VersionsCompared:
        """Everything about two versions, side by side."""
        from mlbench.engine.release_queries import Side, compare_releases

        sides = (Side(item.candidate, item.run) for item in (question.first, question.second))
        return VersionsCompared(question, compare_releases(*sides))
