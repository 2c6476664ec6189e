"""What a trial is worth: objectives and constraints over the facts of its runs, pure."""

from __future__ import annotations

import ast
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mlbench.domain.errors import SweepError
from mlbench.domain.expression import (
    ExpressionError,
    MissingFactError,
    evaluate,
    is_number,
    look_up,
    parse,
)
from mlbench.domain.records import dataclass
from mlbench.domain.runs import Run
from mlbench.domain.sweeps import Sweep
from mlbench.tracking.query import facts_of

Facts = Mapping[str, Mapping[str, Any]]
_LESS, _MORE = (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)


@dataclass(frozen=True, slots=True)
class Worth:
    """Means over the repeats, one an objective, their standard deviations, and constraints.

    A constraint holds where it is 0 or less: how far it is from holding.
    """

    values: tuple[float, ...]
    spread: tuple[float, ...]
    constraints: Mapping[str, float]


def worth_of(sweep: Sweep, runs: Sequence[Run], seconds: float) -> Worth:
    """What the runs of a trial come to; SweepError says which name has no number in them."""
    each = [_facts(run, seconds) for run in runs]
    values = [[_number(goal.metric, facts) for facts in each] for goal in sweep.objectives]
    return Worth(
        tuple(map(statistics.fmean, values)),
        tuple(statistics.stdev(of) if len(of) > 1 else 0.0 for of in values),
        {
            text: statistics.fmean(distance(text, facts) for facts in each)
            for text in sweep.constraints
        },
    )


def distance(constraint: str, facts: Facts) -> float:
    """How far a constraint is from holding: 0 or less where it holds.

    Of a comparison of numbers it is their difference; of anything else 0 or 1. SweepError where a
    name has no value.
    """
    tree = parse(constraint)
    try:
        if isinstance(tree, ast.Compare) and len(tree.ops) == 1:
            left, right = evaluate(tree.left, facts), evaluate(tree.comparators[0], facts)
            if is_number(left) and is_number(right):
                if isinstance(tree.ops[0], _LESS):
                    return _sound(left - right)
                if isinstance(tree.ops[0], _MORE):
                    return _sound(right - left)
        return 0.0 if evaluate(tree, facts) else 1.0
    except (MissingFactError, ExpressionError) as error:
        raise SweepError(f"the constraint {constraint}: {error}") from None


def _sound(difference: float) -> float:
    return 1.0 if math.isnan(difference) else float(difference)


def _number(name: str, facts: Facts) -> float:
    try:
        value = look_up(name, facts)
    except (MissingFactError, ExpressionError) as error:
        raise SweepError(f"the objective: {error}") from None
    if not is_number(value) or not math.isfinite(value):
        raise SweepError(f"the objective: {name} is {value}, and no number to compare")
    return float(value)


def _facts(run: Run, seconds: float) -> dict[str, dict[str, Any]]:
    facts = facts_of(run)
    facts["stages"]["seconds"] = seconds
    return facts
