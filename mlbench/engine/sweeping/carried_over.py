"""What a study that begins anew has from the one before: its trials, and what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import plural
from mlbench.domain.spaces import contains, in_words
from mlbench.domain.sweeps import KnownTrial, Study, Sweep
from mlbench.engine.study_files import StudyFiles
from mlbench.engine.sweeping.inputs import SweepInputs
from mlbench.engine.sweeping.spaces import comparable, moved_inputs, why_none

Params = Mapping[str, Any]


def known_trials(files: StudyFiles, study: Study) -> tuple[KnownTrial, ...]:
    """A study's trials as its journal has them: the board may be lost, or torn.

    SweepError where Optuna can't read it, or where it lacks trials that the board has. No
    coordinator may be at work on it.
    """
    # Late: most who go on with a study never ask Optuna.
    from mlbench.sweeps.reading import known_trials as read

    trials = read(files.journal, study.sweep, study.base)
    refuse_lost_journal(files, study, trials)
    return trials


def refuse_lost_journal(files: StudyFiles, study: Study, trials: Iterable[KnownTrial]) -> None:
    """SweepError where trials ended by the board that the journal, whose word counts, lacks."""
    ended = {number for number, trial in files.trials().items() if trial.state.has_ended}
    lacking = len(ended.difference(one.number for one in trials))
    if lacking:
        raise SweepError(
            f"{files.journal} lacks {plural(lacking, 'trial')} that {files.board.name} beside it "
            f"has: put it back, or `mlbench sweep {study.name} --restart` begins anew"
        )


def has_own(trials: Iterable[KnownTrial]) -> bool:
    """Whether any trial has begun in the study itself, rather than in the one before."""
    return any("from" not in one.notes and one.state is not TrialState.WAITING for one in trials)


def asked_for(files: StudyFiles, trials: Iterable[KnownTrial]) -> tuple[Params, ...]:
    """What was asked for by hand and has not ended, first what a coordinator has read already."""
    unended = (TrialState.WAITING, TrialState.RUNNING)
    read = [one.params for one in trials if one.state in unended and one.notes.get("by_hand")]
    return (*read, *(command.params for command in files.enqueued()))


def that_still_fit(asked: Iterable[Params], sweep: Sweep) -> tuple[list[Params], list[str]]:
    """What can be tried in the sweep as it is now, and a sentence for each that can't; pure."""
    space = {dimension.name: dimension for dimension in sweep.space}
    fitting, told = [], []
    for params in asked:
        if all(name in space and contains(space[name], value) for name, value in params.items()):
            fitting.append(params)
        else:
            values = ", ".join(f"{name} = {in_words(value)}" for name, value in params.items())
            told.append(f"{values}, which was asked for, is not tried: the space has it no more")
    if fitting:
        is_one = len(fitting) == 1
        what = f"{plural(len(fitting), 'trial')} that {'was' if is_one else 'were'} asked for"
        told.insert(0, f"{what} {'is' if is_one else 'are'} tried first")
    return fitting, told


def that_count(
    trials: Iterable[KnownTrial], study: Study, sweep: Sweep, now: SweepInputs
) -> tuple[tuple[int, ...], list[str]]:
    """Which ended trials of a study count in the sweep as it is now, and what to say; pure."""
    taken: list[int] = []
    why_not: Counter[str] = Counter()
    for trial in trials:
        if not trial.values:
            continue
        if trial.state is TrialState.PRUNED and study.sweep.watched != sweep.watched:
            continue
        fits, reason = _fits(trial.params, study, sweep, now)
        if fits:
            taken.append(trial.number)
        else:
            why_not[reason] += 1
    count = f"{plural(len(taken), 'trial')} of the one before count"
    told = [
        f"a new study begins, in which {count}",
        *(f"{plural(number, 'trial')} not: {reason}" for reason, number in why_not.items()),
    ]
    return tuple(taken), told


def _fits(params: Params, study: Study, sweep: Sweep, now: SweepInputs) -> tuple[bool, str]:
    none = why_none(study.sweep, sweep)
    moved = moved_inputs(study, sweep, now.others)
    if none or moved:
        return False, none or f"{moved[0]} changed since"
    return comparable({**study.base, **params}, study.sweep, sweep, now.params)
