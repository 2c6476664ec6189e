"""Trials from Optuna's form to ours and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlbench.domain.errors import SweepError
from mlbench.domain.outcomes import TrialState
from mlbench.domain.sweeps import KnownTrial
from mlbench.sweeps.quiet import optuna
from mlbench.sweeps.space import Space

Frozen = optuna.trial.FrozenTrial
# In a trial's user attributes: its process was gone, and its parameters are tried again.
LOST = "lost"
_QUEUED = "fixed_params"
_States = optuna.trial.TrialState
_STATES = {
    _States.WAITING: TrialState.WAITING,
    _States.RUNNING: TrialState.RUNNING,
    _States.COMPLETE: TrialState.COMPLETE,
    _States.PRUNED: TrialState.PRUNED,
    _States.FAIL: TrialState.FAILED,
}
_TAKEN_OVER = {TrialState.COMPLETE: _States.COMPLETE, TrialState.PRUNED: _States.PRUNED}


def known(trial: Frozen, space: Space) -> KnownTrial:
    """A trial as the study has it; of one that waits the parameters that it is to have."""
    params = trial.params
    if trial.state is _States.WAITING:
        params = trial.system_attrs.get(_QUEUED, {})
    is_lost = trial.state is _States.FAIL and trial.user_attrs.get(LOST, False)
    return KnownTrial(
        number=trial.number,
        state=TrialState.LOST if is_lost else _STATES[trial.state],
        params=space.decode(params),
        values=tuple(trial.values or ()),
        intermediate=dict(trial.intermediate_values),
        constraints=dict(trial.constraints),
        notes=dict(trial.user_attrs),
        started=_moment(trial.datetime_start),
        ended=_moment(trial.datetime_complete),
    )


def frozen(trial: KnownTrial, space: Space) -> Frozen:
    """A trial of another study as this one is to take it over.

    SweepError where it did not end well, or its parameters are outside this space.
    """
    if trial.state not in _TAKEN_OVER:
        raise SweepError(f"trial {trial.number} is {trial.state.word}: it can't be taken over")
    params = space.encode(trial.params)
    drawn = space.distributions()
    made = optuna.trial.create_trial(
        state=_TAKEN_OVER[trial.state],
        values=list(trial.values) or None,
        params=params,
        distributions={name: drawn[name] for name in params},
        user_attrs=dict(trial.notes),
        intermediate_values=dict(trial.intermediate),
        constraints=sound(trial.constraints),
    )
    if trial.started:
        made.datetime_start = _local(trial.started)
    if trial.ended:
        made.datetime_complete = _local(trial.ended)
    return made


def sound(constraints: Mapping[str, float]) -> dict[str, float]:
    """Constraints that Optuna takes: one that is no number does not hold."""
    return {
        name: math.inf if math.isnan(value) else float(value) for name, value in constraints.items()
    }


def identity(trial: Frozen) -> tuple[Any, ...]:
    """What two trials have in common only where both are one, taken over twice."""
    params = tuple(sorted((name, repr(value)) for name, value in trial.params.items()))
    moments = _moment(trial.datetime_start), _moment(trial.datetime_complete)
    return trial.state, params, tuple(trial.values or ()), *moments


def _moment(time: datetime | None) -> str:
    # Optuna has local times without a zone.
    if time is None:
        return ""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _local(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone().replace(tzinfo=None)
