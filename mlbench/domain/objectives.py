"""What is written as an objective, and the metrics that it names."""

from __future__ import annotations

import ast

from mlbench.domain.expression import ExpressionError, names_in, parse
from mlbench.domain.sweeps import MAXIMIZE, MINIMIZE, Objective


def read_objective(text: str) -> Objective | None:
    """What `maximize accuracy` says; None where it is no objective."""
    direction, _, name = text.strip().partition(" ")
    metric = read_metric(name)
    return Objective(metric, direction) if direction in (MAXIMIZE, MINIMIZE) and metric else None


def read_metric(text: str) -> str:
    """The dotted name of a metric: `m["val/loss"]` is `metrics.val/loss`, others are as written."""
    name = text.strip()
    if "[" not in name:
        return name
    try:
        tree = parse(name)
    except ExpressionError:
        return name
    names = names_in(tree) if isinstance(tree, ast.Subscript) else ()
    return next(iter(names), name)
