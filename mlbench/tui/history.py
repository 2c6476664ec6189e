"""The history as the workbench reads it: in the background, each run decoded when it is seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlbench.domain.errors import MlbenchError
from mlbench.domain.expression import ExpressionError, parse
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run

if TYPE_CHECKING:
    from mlbench.engine.exporting import History as Runs
    from mlbench.engine.queries import Queries

_MOST_RECENT = 30
_MOST_SAMPLED = 200
_FARTHEST = 50
_WORDS = re.compile(r"[\w./\- ]*")


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """Which runs to show: words or an expression, and whether hidden and failed ones too.

    `sort` is the key of a column, empty for the time of the start.
    """

    text: str = ""
    everything: bool = False
    sort: str = ""
    descending: bool = True


class PassedBefore:
    """The run that passed last before another: looked for when asked, and remembered."""

    def __init__(self, newest_first: Sequence[Run] = (), ids: Sequence[str] = ()) -> None:
        """Look among these, whose ids descend."""
        self._runs, self._ids = newest_first, ids
        self._found: dict[str, Run | None] = {}

    @property
    def count(self) -> int:
        """For how many it has been looked for."""
        return len(self._found)

    def knows(self, run_id: str) -> bool:
        """Whether it has been looked for."""
        return run_id in self._found

    def known(self, run_id: str) -> Run | None:
        """What was found; None also where nobody has looked yet."""
        return self._found.get(run_id)

    def of(self, run_id: str) -> Run | None:
        """The run before this one; most often one run is decoded for it, the first time."""
        if run_id not in self._found:
            self._found[run_id] = self._look(run_id)
        return self._found[run_id]

    def _look(self, run_id: str) -> Run | None:
        low, high = 0, len(self._ids)
        while low < high:
            middle = (low + high) // 2
            if self._ids[middle] >= run_id:
                low = middle + 1
            else:
                high = middle
        for index in range(low, min(len(self._ids), low + _FARTHEST)):
            run = self._runs[index]
            if run.outcome is RunOutcome.PASSED:
                return run
        return None


@dataclass(frozen=True, slots=True)
class History:
    """The runs that were asked for, in order; each is decoded when it is touched.

    `sample` stands for all of them where columns are chosen: `columns` are all that there are,
    `differing` those in which the sample differs. `recent` are the newest of all but for trials of
    studies, whatever the filter; `error` says what is wrong with the expression, and then the runs
    are those of the last good one. `undoable` is what `undo` would take back.
    """

    question: HistoryQuestion = field(default_factory=HistoryQuestion)
    runs: Sequence[Run] = ()
    sample: tuple[Run, ...] = ()
    differing: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    before: PassedBefore = field(default_factory=PassedBefore)
    recent: tuple[Run, ...] = ()
    baseline: Run | None = None
    undoable: str = ""
    total: int = 0
    error: str = ""
    is_read: bool = False

    @property
    def latest(self) -> Run | None:
        """The newest run but for trials, whatever the filter."""
        return self.recent[0] if self.recent else None


def read_history(queries: Queries, question: HistoryQuestion, last_good: History) -> History:
    """The runs that a question asks for; a bad expression keeps the last good list."""
    try:
        runs = _asked(queries, question)
    except (MlbenchError, ExpressionError) as error:
        return replace(last_good, question=question, error=_said(error))
    # A trial tells nothing of how the project's own code stands.
    own = queries.runs(everything=True, trials=False)
    sample = _sample(runs)
    before = PassedBefore(own, own.ids())
    recent = tuple(own[:_MOST_RECENT])
    for run in (*recent, *sample[:_MOST_RECENT]):
        before.of(run.id)
    return History(
        question=question,
        runs=runs,
        sample=sample,
        before=before,
        recent=recent,
        baseline=_baseline(queries),
        undoable=_undoable(queries),
        total=len(queries.runs(everything=True)),
        is_read=True,
    )


def is_plain_words(text: str) -> bool:
    """Whether a filter is words to look for; an expression has an operator or a call in it."""
    spaced = f" {text} "
    has_operator = any(word in spaced for word in (" and ", " or ", " not ", " - ", " / "))
    return _WORDS.fullmatch(text) is not None and not has_operator


def _asked(queries: Queries, question: HistoryQuestion) -> Runs:
    text = question.text.strip()
    if not text or is_plain_words(text):
        runs = _sorted(queries, question, None)
        words = text.lower().split()
        return _with_words(words, runs) if words else runs
    parse(text)
    return _sorted(queries, question, text)


def _sorted(queries: Queries, question: HistoryQuestion, where: str | None) -> Runs:
    """In the order of the question; in that of time where no run has a value to sort by."""
    key = question.sort or "started"
    everything = question.everything
    if key == "started" and question.descending:
        return queries.runs(where=where, everything=everything)
    try:
        sort = f"-{key}" if question.descending else key
        return queries.runs(where=where, sort=sort, everything=everything)
    except MlbenchError:
        return queries.runs(where=where, everything=everything)


def _with_words(words: Sequence[str], runs: Runs) -> Runs:
    """The runs in whose record all words are; none is decoded for it."""
    wanted = [word.encode() for word in words]
    fold = bytes.lower if all(map(str.isascii, words)) else _lower
    lines = (line for line in runs.lines if all(word in fold(_told(line)) for word in wanted))
    return type(runs)(list(lines))


def _told(line: bytes) -> bytes:
    """What stands in a run's line of the index for people: neither hashes nor its stages."""
    start, state, end = line.find(b',"state":'), line.find(b',"outcome":'), line.rfind(b'"stages":')
    return line[:start] + line[state : end if end > 0 else None]


def _lower(text: bytes) -> bytes:
    return text.decode(errors="replace").lower().encode()


def _sample(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The first runs, and some of all the others."""
    half = _MOST_SAMPLED // 2
    if len(runs) <= _MOST_SAMPLED:
        return tuple(runs[index] for index in range(len(runs)))
    places: Iterable[int] = (half + (len(runs) - half) * index // half for index in range(half))
    return tuple(runs[index] for index in (*range(half), *places))


def _baseline(queries: Queries) -> Run | None:
    try:
        return queries.run("@baseline")
    except MlbenchError:
        return None


def _undoable(queries: Queries) -> str:
    from mlbench.engine.record_desk import RecordDesk

    try:
        return RecordDesk(queries.layout).undoable() or ""
    except MlbenchError:
        return ""


def _said(error: Exception) -> str:
    """What is wrong, without the command's own words for where it stands."""
    return re.sub(r"^--where (['\"]).*?\1: ", "", str(error))
