"""Finding runs: filter, sort and names; pure."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlbench.domain.errors import UsageError
from mlbench.domain.expression import (
    ExpressionError,
    MissingFactError,
    evaluate,
    look_up,
    names_in,
    parse,
)
from mlbench.domain.outcomes import RunOutcome
from mlbench.domain.runs import Run

_SHORTEST_PREFIX = 4
_OBJECTIVE = re.compile(r"(maximize|minimize)\s+(\S+)")


def facts_of(run: Run) -> dict[str, dict[str, Any]]:
    """A run as the mapping that expressions are evaluated over."""
    stages: dict[str, Any] = {}
    for name, record in run.stages.items():
        stages[f"{name}.passed"] = record.outcome.stands
        stages[f"{name}.seconds"] = record.seconds
        stages[f"{name}.outcome"] = record.outcome.word
        if record.tests is not None:
            stages[f"{name}.total"] = record.tests.total
            stages[f"{name}.failed"] = record.tests.failed
    fields = {
        "id": run.id,
        "name": run.name,
        "outcome": run.outcome.word if run.outcome else "running",
        "origin": run.origin,
        "by": run.by,
        "started": run.started,
        "seconds": run.seconds,
        "commit": run.code.commit or "",
        "branch": run.code.branch or "",
        "dirty": run.code.dirty,
        "note": run.marks.note,
    }
    return {
        "metrics": dict(run.metrics),
        "params": dict(run.params),
        "stages": stages,
        "run": fields,
    }


def select(
    runs: Iterable[Run],
    *,
    where: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
    everything: bool = False,
) -> list[Run]:
    """Runs that hold the expression, newest first or by a key, `-key` for descending.

    Without `everything`: what passed and what was asked for by hand. UsageError for a bad
    expression.
    """
    if limit is not None and limit < 0:
        raise UsageError("--limit: must be 0 or more")
    chosen = [run for run in runs if everything or _is_shown(run)]
    if where is not None:
        chosen = _holding(where, chosen)
    chosen.reverse()
    if sort is not None:
        chosen = _sorted(chosen, sort)
    return chosen if limit is None else chosen[:limit]


def resolve(name: str, runs: list[Run], objective: str | None = None) -> Run:
    """The run of an id, a unique prefix, a friendly name, @last or @best; else UsageError."""
    if name == "@last":
        passed = [run for run in runs if run.outcome is RunOutcome.PASSED]
        if not passed:
            raise UsageError("@last: no run has passed yet")
        return passed[-1]
    if name == "@best":
        return best(runs, objective)
    exact = [run for run in runs if name in (run.id, run.name)]
    near = exact or [
        run for run in runs if len(name) >= _SHORTEST_PREFIX and run.id.startswith(name)
    ]
    if not near:
        raise UsageError(f'there is no run "{name}"; `mlbench runs --all` lists them')
    if len(near) > 1 and not exact:
        raise UsageError(f'"{name}" could be any of {", ".join(run.id for run in near[:5])}')
    return near[-1]


def best(runs: Iterable[Run], objective: str | None) -> Run:
    """The passed run that is best by the project's objective; UsageError where there is none."""
    match = _OBJECTIVE.fullmatch((objective or "").strip())
    if match is None:
        raise UsageError(
            "@best: mlbench.toml: project.objective: is missing; "
            'write one such as "maximize accuracy"'
        )
    direction, metric = match.groups()
    passed = [run for run in runs if run.outcome is RunOutcome.PASSED]
    known = [run for run in passed if not math.isnan(run.metrics.get(metric, math.nan))]
    if not known:
        raise UsageError(f"@best: no passed run has the metric {metric}")
    sign = 1 if direction == "maximize" else -1
    return max(known, key=lambda run: (sign * run.metrics[metric], run.started))


def _is_shown(run: Run) -> bool:
    is_marked = run.marks.keeps
    return run.outcome is RunOutcome.PASSED or run.origin != "watch" or is_marked


def _holding(where: str, runs: Iterable[Run]) -> list[Run]:
    try:
        tree = parse(where)
        runs = list(runs)
        held = [run for run in runs if _holds(tree, run)]
        unknown = [] if held or not runs else _unknown_names(tree, runs)
    except ExpressionError as error:
        raise UsageError(f"--where {where!r}: {error}") from None
    if unknown:
        raise UsageError(f"--where {where!r}: no run has {unknown[0]}")
    return held


def _unknown_names(tree: ast.expr, runs: list[Run]) -> list[str]:
    """Names that no run has a value for: a filter with one of them is a slip, not an answer."""

    def is_known(name: str, run: Run) -> bool:
        try:
            look_up(name, facts_of(run))
        except MissingFactError:
            return False
        return True

    return [name for name in sorted(names_in(tree)) if not any(is_known(name, r) for r in runs)]


def _holds(tree: ast.expr, run: Run) -> bool:
    try:
        return bool(evaluate(tree, facts_of(run)))
    except MissingFactError:
        return False


def _sorted(runs: list[Run], key: str) -> list[Run]:
    descending, name = key.startswith("-"), key.removeprefix("-")
    valued = [(_value(run, name), run) for run in runs]
    if runs and all(value is None for value, _ in valued):
        raise UsageError(f"--sort {key}: no run has {name}")
    # NaN is neither above nor below anything, and one of them would disorder all the others.
    known = [(value, run) for value, run in valued if _has_place(value)]
    known.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=descending)
    return [run for _, run in known] + [run for value, run in valued if not _has_place(value)]


def _has_place(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _value(run: Run, name: str) -> Any:
    facts: Mapping[str, Mapping[str, Any]] = facts_of(run)
    for root in ("run", "metrics", "params", "stages"):
        if name in facts[root]:
            return facts[root][name]
        if name.startswith(f"{root}.") and name.removeprefix(f"{root}.") in facts[root]:
            return facts[root][name.removeprefix(f"{root}.")]
    return None
