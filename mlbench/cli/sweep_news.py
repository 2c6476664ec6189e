"""What happened between two looks at a study's board: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mlbench.domain.best_trials import best_of
from mlbench.domain.outcomes import TrialState
from mlbench.domain.records import dataclass
from mlbench.domain.sweeps import Objective, Trial

Board = Mapping[int, Trial]
_OVER = frozenset(state for state in TrialState if state.has_ended) | {TrialState.LOST}


@dataclass(frozen=True, slots=True)
class Began:
    """A trial runs now."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial ended; `is_best`: then it was better than all before it, or on the Pareto front."""

    trial: Trial
    is_best: bool = False


News = Began | Ended


def is_over(state: TrialState) -> bool:
    """Whether nothing of the trial runs or waits any more; a lost one comes again as another."""
    return state in _OVER


def news(told: Board, board: Board, objectives: Sequence[Objective]) -> list[News]:
    """What began and ended since `told`, in the order in which it did.

    A trial that began and ended between two looks gives both; one whose end was told gives nothing
    again, even if the board lacked it for a moment.
    """
    found: list[tuple[str, int, int, Trial]] = []
    for number, trial in board.items():
        before = told[number].state if number in told else TrialState.WAITING
        if is_over(before) or trial.state is before or trial.state is TrialState.WAITING:
            continue
        if before is TrialState.WAITING:
            found.append((trial.started, number, 0, trial))
        if is_over(trial.state):
            found.append((trial.ended or trial.started, number, 1, trial))
    known = {number: trial for number, trial in told.items() if is_over(trial.state)}
    told_now: list[News] = []
    best = best_of(known.values(), objectives)
    for _, number, is_end, trial in sorted(found, key=lambda item: item[:3]):
        if not is_end:
            told_now.append(Began(trial))
            continue
        known[number] = trial
        former, best = best, best_of(known.values(), objectives)
        is_tie = len(objectives) == 1 and any(known[one].values == trial.values for one in former)
        told_now.append(Ended(trial, number in best and not is_tie))
    return told_now


def counts(trials: Iterable[Trial]) -> dict[str, int]:
    """How many trials there are of each state by its word; of those that ended also none."""
    found = Counter(trial.state for trial in trials)
    return {state.word: found[state] for state in TrialState if state.has_ended or found[state]}


def has_ended(trials: Iterable[Trial]) -> int:
    """How many trials count towards those that the study is to have."""
    return sum(1 for trial in trials if trial.state.has_ended)
