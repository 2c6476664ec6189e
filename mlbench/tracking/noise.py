"""How much each metric scatters among runs that were equal; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from mlbench.domain.comparison import Noise
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run

_SEED = re.compile(r"(.*[._-])?(seed|random_state|random_seed)", re.IGNORECASE)


def equal_runs(runs: Iterable[Run]) -> list[list[Run]]:
    """The passed runs that are equal, in groups of two and more.

    Equal are runs of one tuple of fingerprints, and runs of one clean commit whose parameters are
    the same but for seeds.
    """
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        if run.outcome is RunOutcome.PASSED:
            groups.setdefault(_likeness(run), []).append(run)
    return [group for group in groups.values() if len(group) > 1]


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
    return run.code.commit, tuple(sorted(run.stages)), tuple(sorted(map(repr, params.items())))
