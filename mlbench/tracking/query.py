"""Finding runs: filter, sort and names; pure."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any

from mlbench.domain.errors import UsageError
from mlbench.domain.expression import (
    ExpressionError,
    MissingFactError,
    compiled,
    names_in,
    parse,
)
from mlbench.domain.runs import Run
from mlbench.tracking.history import History
from mlbench.tracking.index import run_of
from mlbench.tracking.lines import has_passed, id_of, is_archived, is_shown, is_trial
from mlbench.tracking.peek import AmbiguousNameError, Peek, peek, peek_first
from mlbench.tracking.when import with_times

_SHORTEST_PREFIX = 4
# What is sorted before the least of it is let go.
_AT_ONCE = 4096
_OBJECTIVE = re.compile(r"(maximize|minimize)\s+(\S+)")


def facts_of(run: Run) -> dict[str, dict[str, Any]]:
    """A run as the mapping that gates are judged over."""
    stages: dict[str, Any] = {}
    for name, record in run.stages.items():
        stages[f"{name}.passed"] = record.stands
        stages[f"{name}.seconds"] = record.seconds
        stages[f"{name}.outcome"] = record.outcome.word if record.outcome else "running"
        if record.tests is not None:
            stages[f"{name}.total"] = record.tests.total
            stages[f"{name}.failed"] = record.tests.failed
        if record.cpu_seconds is not None:
            stages[f"{name}.cpu_seconds"] = record.cpu_seconds
        if record.peak_memory is not None:
            stages[f"{name}.peak_memory"] = record.peak_memory
    return {"metrics": dict(run.metrics), "params": dict(run.params), "stages": stages}


def select(
    newest_first: Iterable[bytes],
    *,
    where: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
    everything: bool = False,
    study: str = "",
    trials: bool = True,
    now: float | None = None,
) -> History:
    """Runs that hold the expression, newest first or by a key, `-key` for descending.

    Without `everything`: what passed and what was asked for by hand, and of what is archived, and
    of the trials of studies, only what the expression asks for. Of `study`, by its id, the trials
    alone; without `trials` none of any, marked or not. `age` is as of `now`. Only as many lines are
    read as it takes. UsageError for a bad expression.
    """
    if limit is not None and limit < 0:
        raise UsageError("--limit: must be 0 or more")
    tree = None if where is None else _parsed(where)
    if study:
        study_of = peek("run.study")
        newest_first = (line for line in newest_first if study_of(line) == study)
    if not trials:
        newest_first = (line for line in newest_first if not is_trial(line))
    lines = newest_first if tree is None else _holding(tree, where or "", newest_first, now)
    if not everything:
        named = {name.removeprefix("run.") for name in names_in(tree)} if tree is not None else ()
        archived, trial = "archived" in named, bool(study) or "study" in named or "trial" in named
        shown = partial(is_shown, archived_too=archived, trials_too=trial)
        # Behind the filter, which lets fewer through.
        lines = filter(shown if archived or trial else is_shown, lines)
    if sort is not None:
        lines = _sorted(lines, sort, now, limit)
    return History(list(islice(lines, limit)))


def resolve(name: str, newest_first: Iterable[bytes], objective: str | None = None) -> Run:
    """The run of an id, a unique prefix, a friendly name, @last, @best or @baseline.

    Of several with one friendly name it is the newest; @last and @best pass over what is archived,
    and @last over trials of studies.
    UsageError where there is none, or several.
    """
    if name == "@last":
        for line in newest_first:
            if has_passed(line) and is_shown(line):
                return run_of(line)
        raise UsageError("@last: no run has passed yet")
    if name == "@best":
        return best(newest_first, objective)
    if name == "@baseline":
        return _baseline(newest_first)
    return run_of(_named(name, newest_first))


def best(newest_first: Iterable[bytes], objective: str | None) -> Run:
    """The passed run that is best by the project's objective; UsageError where there is none."""
    return ranked(newest_first, objective, "@best")[0]


def ranked(newest_first: Iterable[bytes], objective: str | None, what: str) -> History:
    """The passed runs by an objective such as "maximize accuracy", the best first, then the newest.

    Those without the metric are left out. UsageError where that leaves none, or the objective is
    none; `what` is what asked for it.
    """
    match = _OBJECTIVE.fullmatch((objective or "").strip())
    if match is None:
        raise UsageError(
            f"{what}: mlbench.toml: project.objective: is missing; "
            'write one such as "maximize accuracy"'
        )
    direction, metric = match.groups()
    read = peek_first(f"metrics.{metric.removeprefix('metrics.')}")
    passed = filter(_can_stand, newest_first)
    known = [(value, line) for line in passed if _has_place(value := read(line))]
    if not known:
        raise UsageError(f"{what}: no passed run has the metric {metric}")
    known.sort(key=lambda pair: pair[0], reverse=direction == "maximize")
    return History([line for _, line in known])


def objective_of(asked: str, objective: str | None) -> str | None:
    """What `--best` means: the project's objective, or another such as "minimize loss".

    UsageError for a metric alone of which the project doesn't say what is better.
    """
    if not asked or _OBJECTIVE.fullmatch(asked.strip()):
        return asked or objective
    match = _OBJECTIVE.fullmatch((objective or "").strip())
    if match is None or match[2] != asked:
        metric = asked.rsplit(maxsplit=1)[-1]
        raise UsageError(
            f'--best {asked}: say which way: --best "maximize {metric}" or "minimize {metric}"'
        )
    return objective


def passed(newest_first: Iterable[bytes], limit: int | None = None) -> History:
    """The runs that passed and aren't archived, newest first."""
    return History(list(islice(filter(_can_stand, newest_first), limit)))


def _can_stand(line: bytes) -> bool:
    return has_passed(line) and not is_archived(line)


def _baseline(newest_first: Iterable[bytes]) -> Run:
    since = peek("baseline_since")
    marked = [line for line in newest_first if b'"baseline_since":"' in line and since(line)]
    if not marked:
        raise UsageError("@baseline: there is none; `mlbench baseline RUN` makes a run it")
    return run_of(max(marked, key=since))


def _named(name: str, newest_first: Iterable[bytes]) -> bytes:
    read = peek_first("name")
    exact = None
    near = []
    for line in newest_first:
        run_id = id_of(line)
        if run_id == name:
            return line
        if exact is None and read(line) == name:
            exact = line
        if len(name) >= _SHORTEST_PREFIX and run_id.startswith(name):
            near.append(line)
    if exact is not None:
        return exact
    if not near:
        raise UsageError(f'there is no run "{name}"; `mlbench runs --all` lists them')
    if len(near) > 1:
        listed = ", ".join(id_of(line) for line in reversed(near[:5]))
        raise UsageError(f'"{name}" could be any of {listed}')
    return near[0]


def _parsed(where: str) -> ast.expr:
    try:
        return with_times(parse(where))
    except ExpressionError as error:
        raise UsageError(f"--where {where!r}: {error}") from None


def _holding(
    tree: ast.expr, where: str, lines: Iterable[bytes], now: float | None
) -> Iterator[bytes]:
    """The lines that hold the filter; what it can't be worth for a run, it isn't.

    UsageError where it can be worth nothing for any run, or a name is ambiguous.
    """
    holds = compiled(tree, lambda name: _reading(name, now))
    is_any_held = False
    others: list[bytes] = []
    misfit: ExpressionError | None = None
    for line in lines:
        try:
            if holds(line):
                is_any_held = True
                yield line
            elif not is_any_held:
                others.append(line)
        except AmbiguousNameError as error:
            raise UsageError(f"--where {where!r}: {error}") from None
        except (MissingFactError, ExpressionError) as error:
            others.append(line)
            if isinstance(error, ExpressionError):
                misfit = misfit or error
    if is_any_held or not others:
        return
    unknown = [name for name in sorted(names_in(tree)) if not _is_known(name, others)]
    if unknown:
        raise UsageError(f"--where {where!r}: no run has {unknown[0]}")
    if misfit is not None:
        raise UsageError(f"--where {where!r}: {misfit}")


def _reading(name: str, now: float | None) -> Callable[[bytes], Any]:
    read = peek(name, now)

    def value(line: bytes) -> Any:
        found = read(line)
        if found is None:
            raise MissingFactError(name, f"{name} has no value")
        return found

    return value


def _is_known(name: str, lines: Sequence[bytes]) -> bool:
    """Whether any run has a value for a name: a filter without one is a slip, not an answer."""
    read = peek_first(name)
    return any(read(line) is not None for line in lines)


def _sorted(lines: Iterable[bytes], key: str, now: float | None, limit: int | None) -> list[bytes]:
    """So many lines by a key; then what has none. Few are kept at a time where few are wanted."""
    descending, name = key.startswith("-"), key.removeprefix("-")
    read: Peek = peek_first(name, now)
    known: list[tuple[Any, bytes]] = []
    others: list[bytes] = []
    is_empty, is_known = True, False
    coming = iter(lines)
    while batch := list(islice(coming, None if limit is None else max(limit, _AT_ONCE))):
        values = [read(line) for line in batch]
        pairs = list(zip(values, batch, strict=True))
        is_empty, is_known = False, is_known or any(value is not None for value in values)
        # NaN is neither above nor below anything, and one of them would disorder all the others.
        fitting = [pair for pair in pairs if _has_place(pair[0])]
        if len(fitting) < len(pairs):
            others += [line for value, line in pairs if not _has_place(value)]
        known = _ordered(known + fitting, descending)[:limit]
        others = others[:limit]
    if not (is_empty or is_known):
        raise UsageError(f"--sort {key}: no run has {name}")
    return [line for _, line in known] + others


def _ordered(pairs: list[tuple[Any, bytes]], descending: bool) -> list[tuple[Any, bytes]]:
    try:
        return sorted(pairs, key=itemgetter(0), reverse=descending)
    except TypeError:
        # Numbers before texts.
        return sorted(pairs, key=lambda p: (isinstance(p[0], str), p[0]), reverse=descending)


def _has_place(value: Any) -> bool:
    return value is not None and not (type(value) is float and math.isnan(value))
