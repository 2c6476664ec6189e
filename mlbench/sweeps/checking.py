"""Whether a sweep can be begun at all, asked before anything is built."""

from __future__ import annotations

import json

from mlbench.domain.errors import SweepError, WrongSweepError
from mlbench.domain.sweeps import Dimension, Sweep


def check(sweep: Sweep) -> None:
    """Refuse what Optuna would refuse, or trip over, once trials run.

    WrongSweepError in one sentence: an unknown sampler, pruner or option (with the nearest
    spelling), a value that it can't take, a package that is missing (with pip's line), a pruner
    with several objectives, a range without numbers, choices that can't be told apart.
    """
    try:
        _check(sweep)
    except SweepError as error:
        raise WrongSweepError(str(error)) from None


def _check(sweep: Sweep) -> None:
    # Late: commands that begin no study never load Optuna.
    from mlbench.sweeps.components import make_pruner, make_sampler

    if not sweep.space:
        raise SweepError(f"sweep {sweep.name}: its space is empty: there is nothing to try")
    if not sweep.objectives:
        raise SweepError(f"sweep {sweep.name}: it has no objective")
    for dimension in sweep.space:
        try:
            _check_dimension(dimension)
        except SweepError as error:
            raise SweepError(f"sweep {sweep.name}: space: {error}") from None
    make_sampler(sweep)
    make_pruner(sweep)


def _check_dimension(dimension: Dimension) -> None:
    from mlbench.sweeps.quiet import quietly
    from mlbench.sweeps.space import as_choice, distribution

    if dimension.range is None and not dimension.choices:
        raise SweepError(f"{dimension.name} has no choices")
    seen: list[object] = []
    for choice in dimension.choices:
        encoded = as_choice(choice)
        if not isinstance(encoded, (str, int, float)):
            raise SweepError(
                f"{dimension.name}: {choice} is no text, number, true or false, list or table"
            )
        if encoded in seen:
            raise SweepError(
                f"{dimension.name}: Optuna can't tell {json.dumps(choice)} from another choice"
            )
        seen.append(encoded)
    try:
        with quietly():
            distribution(dimension)
    except (ValueError, OverflowError) as error:
        raise SweepError(f"{dimension.name}: {error}") from None
