"""The columns of a study's trials, and in which order and with which words these are listed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from mlbench.domain.outcomes import TrialState
from mlbench.domain.study_axes import value_text
from mlbench.domain.sweeps import Study, Trial

NUMBER, STATE, SECONDS, NOW, GATES = "number", "state", "seconds", "now", "gates"
VALUE, SPREAD, PARAM = "value:", "spread:", "param:"
_STATES = tuple(TrialState)


def keys_of(study: Study, *, has_gates: bool) -> tuple[str, ...]:
    """The columns that a study's trials have, in order."""
    sweep = study.sweep
    values: list[str] = []
    for place in range(len(sweep.objectives)):
        values += [f"{VALUE}{place}", *([f"{SPREAD}{place}"] if sweep.repeats > 1 else [])]
    params = [PARAM + dimension.name for dimension in sweep.space]
    return (NUMBER, STATE, *values, *params, SECONDS, *([GATES] if has_gates else []), NOW)


def in_order(trials: Iterable[Trial], key: str, *, descending: bool) -> list[Trial]:
    """The trials sorted by a column; those that have nothing there come last either way."""
    ranked = [(_rank(key, trial), trial) for trial in trials]
    known = [(rank, trial) for rank, trial in ranked if rank is not None]
    known.sort(key=lambda pair: (pair[0], pair[1].number), reverse=descending)
    return [trial for _, trial in known] + [trial for rank, trial in ranked if rank is None]


def text_of(trial: Trial) -> str:
    """What a filter looks for its words in."""
    params = " ".join(f"{name}={value_text(value)}" for name, value in trial.params.items())
    by_hand = "by hand" if trial.is_by_hand else ""
    words = (f"#{trial.number}", trial.state.word, trial.stage, trial.reason, by_hand, params)
    return " ".join(words).lower()


def _rank(key: str, trial: Trial) -> Any:
    """What a trial is sorted by in a column; None where it has nothing there."""
    if key.startswith(PARAM):
        value = trial.params.get(key.removeprefix(PARAM))
        if value is None:
            return None
        return (0, value, "") if isinstance(value, (int, float)) else (1, 0, value_text(value))
    if key.startswith((VALUE, SPREAD)):
        values = trial.values if key.startswith(VALUE) else trial.spread
        place = int(key.partition(":")[2])
        found = values[place] if place < len(values) else None
        return None if found is None or math.isnan(found) else found
    ranks: dict[str, Any] = {
        NUMBER: trial.number,
        STATE: _STATES.index(trial.state),
        SECONDS: trial.seconds or None,
        GATES: trial.gates_hold,
        NOW: (trial.stage, trial.step or 0) if trial.stage else None,
    }
    return ranks[key]
