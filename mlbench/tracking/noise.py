"""How much each metric scatters among runs that were equal; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from mlbench.domain.comparison import Noise, Repeats
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run
from mlbench.tracking.index import run_of
from mlbench.tracking.lines import METRICS, PARAMS, after, has_passed, needle_of, scalar
from mlbench.tracking.peek import peek

# Noise is looked for among so many of the newest runs.
_MOST_FOR_NOISE = 2000
_SEED = re.compile(r"(.*[._-])?(seed|random_state|random_seed)", re.IGNORECASE)

_SEED_WORDS = (b"seed", b"random_state")
_SEED_PIECE = re.compile(rb'"(.*[._-])?(seed|random_state|random_seed)":', re.IGNORECASE)


def equal_runs(runs: Iterable[Run]) -> list[list[Run]]:
    """The passed runs that are equal, in groups of two and more.

    Equal are runs of one tuple of fingerprints, and runs of one clean commit and the same data,
    which git need not know, whose parameters are the same but for seeds; and the repeats of a trial
    whatever its seeds are called, for its study had one state of the code.
    """
    groups: dict[Any, list[Run]] = {}
    of_trials: dict[tuple[str, int | None], Any] = {}
    for run in runs:
        if run.outcome is RunOutcome.PASSED:
            likeness = _likeness(run)
            if run.study:
                likeness = of_trials.setdefault((run.study, run.trial), likeness)
            groups.setdefault(likeness, []).append(run)
    return [group for group in groups.values() if len(group) > 1]


def newest_equal_runs(newest_first: Iterable[bytes]) -> list[list[Run]]:
    """The equal runs among the first lines of a history; hardly any others are decoded."""
    lines = list(filter(has_passed, islice(newest_first, _MOST_FOR_NOISE)))
    commit_of, study_of, trial_of = peek("run.commit"), peek("run.study"), peek("run.trial")
    committed = _twins((commit, line) for line in lines if (commit := commit_of(line)))
    twins = {
        *_twins((_state(line), line) for line in lines),
        *_twins(((commit_of(line), _parameters(line)), line) for line in committed),
        *_twins(((study, trial_of(line)), line) for line in lines if (study := study_of(line))),
    }
    return equal_runs(run_of(line) for line in lines if line in twins)


def repeats_of(run: str, groups: Iterable[Sequence[Run]]) -> dict[str, Repeats]:
    """Each finite metric of a run, by its id, beside its mean over the equal runs that have it."""
    group = next((group for group in groups if any(one.id == run for one in group)), ())
    own = next((one.metrics for one in group if one.id == run), {})
    repeats = {}
    for name, value in own.items():
        values = [one.metrics[name] for one in group if name in one.metrics]
        values = [each for each in values if math.isfinite(each)]
        if math.isfinite(value):
            repeats[name] = Repeats(value, math.fsum(values) / len(values), len(values))
    return repeats


def noise_of(groups: Iterable[Sequence[Run]]) -> dict[str, Noise]:
    """The pooled standard deviation of each metric over groups of equal runs.

    √(Σ squared distances from the group's mean / Σ (members − 1)); values that are not finite are
    left out.
    """
    squares: dict[str, float] = {}
    degrees: dict[str, int] = {}
    for group in groups:
        for name in {name for run in group for name in run.metrics}:
            values = [run.metrics[name] for run in group if name in run.metrics]
            values = [value for value in values if math.isfinite(value)]
            if len(values) > 1:
                mean = math.fsum(values) / len(values)
                spread = math.fsum((value - mean) ** 2 for value in values)
                squares[name] = squares.get(name, 0.0) + spread
                degrees[name] = degrees.get(name, 0) + len(values) - 1
    return {
        name: Noise(math.sqrt(squares[name] / degrees[name]), degrees[name]) for name in squares
    }


def _likeness(run: Run) -> Any:
    """What equal runs have in common."""
    clean = run.code.commit is not None and not run.code.dirty
    if not clean and None in run.state.values():
        # Of a script by itself, and from elsewhere: nobody knows what it was made from.
        return run.id
    if not clean:
        return tuple(sorted((name, str(key)) for name, key in run.state.items()))
    params = {name: value for name, value in run.params.items() if not _SEED.fullmatch(name)}
    shown = tuple(sorted(map(repr, params.items())))
    return run.code.commit, run.data, tuple(sorted(run.stages)), shown


def _twins(keyed: Iterable[tuple[Any, bytes]]) -> list[bytes]:
    """The lines whose key another one has, too."""
    groups: dict[Any, list[bytes]] = {}
    for key, line in keyed:
        groups.setdefault(key, []).append(line)
    return [line for group in groups.values() if len(group) > 1 for line in group]


def _state(line: bytes) -> Any:
    return scalar(line, after(line, needle_of("state"), 0, len(line)))


def _parameters(line: bytes) -> frozenset[bytes]:
    """What tells parameters apart, in any order and but for seeds, undecoded."""
    start = line.find(PARAMS) + len(PARAMS)
    section = line[start : line.find(METRICS, start - 1)]
    # A text with a comma comes in pieces, none of which looks like a key: its quotes are escaped.
    pieces = frozenset(section.split(b","))
    if not any(word in section.lower() for word in _SEED_WORDS):
        return pieces
    return frozenset(piece for piece in pieces if not _SEED_PIECE.match(piece))
