"""Names of the expression language, as what reads their values out of undecoded lines.

Filters and sorts read a name of very many lines, so each way of reading looks at as few bytes as
can tell what they mean (`tracking/lines.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from mlbench.domain.expression import ExpressionError
from mlbench.domain.outcomes import StageOutcome
from mlbench.tracking.index import value_of
from mlbench.tracking.lines import (
    BACKSLASH,
    BRACE,
    BRACKET,
    EXTREMES,
    METRICS,
    PARAMS,
    QUOTE,
    STAGES,
    after,
    is_marked,
    needle_of,
    scalar,
    tags_of,
)

# Gives the value of one name for a line of the index; None where the run has none.
Peek = Callable[[bytes], Any]
RUN_FIELDS: Mapping[str, Any] = {
    "id": "",
    "name": "",
    "outcome": "running",
    "origin": "",
    "by": "",
    "started": "",
    "seconds": None,
    "commit": "",
    "branch": "",
    "dirty": False,
    "changed_files": 0,
    "note": "",
    "star": False,
    "archived": False,
    "source": "",
    "parent": "",
    "study": "",
    "trial": None,
    "baseline_since": "",
}
# Those that every line has, before any other of the same name.
_ALWAYS = frozenset(("id", "name", "outcome", "origin", "by", "started", "seconds"))
_EXTREMES = {"min": 0, "min_step": 1, "max": 2, "max_step": 3}
_STAGE_FIELDS = ("passed", "seconds", "outcome", "total", "failed", "cpu_seconds", "peak_memory")
_STANDS = frozenset(outcome.word for outcome in StageOutcome if outcome.stands)
# Keys that stand in a line elsewhere than among parameters, metrics and extremes.
_OTHER_KEYS = frozenset(
    (
        *RUN_FIELDS,
        *("state", "marks", "tags", "params", "metrics", "extremes", "stages"),
        *("key", "ran_in", "tests", "message", "cpu_seconds", "peak_memory"),
    )
)
_OPENING = frozenset((BRACE, BRACKET))


class AmbiguousNameError(ExpressionError):
    """A bare name that a run has twice; the message says how to write either."""


def peek(name: str, now: float | None = None) -> Peek:
    """What reads a name of the expression language; AmbiguousNameError for a run that has it twice.

    `age` is in seconds as of `now`, in seconds since the epoch.
    """
    root, _, rest = name.partition(".")
    if rest and root in _ROOTS:
        return _ROOTS[root](rest, now)
    read, extreme = _bare(name), _extreme(name, now)
    others = [
        (f"{root}.{name}", of)
        for root in ("run", "stages")
        if (of := _ROOTS[root](name, now)) is not _nothing
    ]

    def read_all(line: bytes) -> Any:
        value = read(line)
        for path, of in others:
            other = of(line)
            if other is not None and value is not None:
                root = "params" if _param(name, now)(line) is not None else "metrics"
                raise _ambiguous(name, f"{root}.{name}", path)
            value = other if value is None else value
        return extreme(line) if value is None else value

    if name in RUN_FIELDS:
        return _field_alone(name, read_all)
    return read if extreme is _nothing and not others else read_all


def peek_first(name: str, now: float | None = None) -> Peek:
    """As `peek`, and of a name that a run has twice the field, else the metric, the parameter."""
    root, _, rest = name.partition(".")
    if rest and root in _ROOTS:
        return _ROOTS[root](rest, now)
    if name in RUN_FIELDS or name in _DERIVED:
        return _run(name, now)
    reads = [make(name, now) for make in (_metric, _param, _stage, _extreme)]
    reads = [read for read in reads if read is not _nothing]

    def read_first(line: bytes) -> Any:
        return next((value for read in reads if (value := read(line)) is not None), None)

    return _lone(name, read_first, read_first)


def _run(name: str, now: float | None) -> Peek:
    if name in _DERIVED:
        return _DERIVED[name](now)
    if name not in RUN_FIELDS:
        return _nothing
    needle, absent, is_always = needle_of(name), RUN_FIELDS[name], name in _ALWAYS

    def read(line: bytes) -> Any:
        at = after(line, needle, 0, len(line) if is_always else line.find(PARAMS))
        value = None if at < 0 else scalar(line, at)
        return absent if value is None else value

    return read


def _age(now: float | None) -> Peek:
    started = _run("started", None)
    moment = time.time() if now is None else now

    def read(line: bytes) -> float | None:
        try:
            return moment - datetime.fromisoformat(started(line)).timestamp()
        except ValueError:
            return None

    return read


def _baseline(_: float | None) -> Peek:
    since = _run("baseline_since", None)
    return lambda line: bool(since(line))


def _marked(_: float | None) -> Peek:
    return is_marked


def _tags(_: float | None) -> Peek:
    return tags_of


def _tag(tag: str, _: float | None) -> Peek:
    """True for a tag, the text behind `tag=`, or False where the run has neither."""

    def read(line: bytes) -> Any:
        tags = tags_of(line)
        given = (item.partition("=")[2] for item in tags if item.startswith(f"{tag}="))
        return True if tag in tags else next(given, False)

    return read


def _field_alone(name: str, otherwise: Peek) -> Peek:
    """The field of a run that has no parameter or metric of the same name; it stands before all."""
    needle, absent = needle_of(name), RUN_FIELDS[name]
    length, is_always = len(needle), name in _ALWAYS

    def read(line: bytes) -> Any:
        at = line.find(needle)
        if at < 0:
            return absent
        at += length
        end = line.find(EXTREMES, at)
        if not is_always and (_is_doubtful(line, at, length) or line.find(PARAMS, at, end) < 0):
            return otherwise(line)
        if line.find(needle, at, end) >= 0:
            return otherwise(line)
        value = scalar(line, at)
        return absent if value is None else value

    return read


def _param(name: str, _: float | None) -> Peek:
    return _within(name, PARAMS, METRICS, not_between=EXTREMES)


def _metric(name: str, _: float | None) -> Peek:
    """The last value."""
    return _within(name, METRICS, EXTREMES, not_between=METRICS)


def _within(name: str, opening: bytes, closing: bytes, *, not_between: bytes) -> Peek:
    """A value of one section; `not_between` its first key and the end says that it is another's."""
    needle = needle_of(name)
    length, is_other = len(needle), name in _OTHER_KEYS

    def read(line: bytes) -> Any:
        at = line.find(needle)
        if at < 0:
            return None
        end = line.find(closing, at)
        at += length
        if end < 0 or is_other or _is_doubtful(line, at, length):
            return search(line)
        return scalar(line, at) if line.find(not_between, at, end) < 0 else search(line)

    def search(line: bytes) -> Any:
        start = line.find(opening) + len(opening)
        at = after(line, needle, start, line.find(closing, start - 1))
        return None if at < 0 else scalar(line, at)

    return read


def _metric_or_extreme(name: str, now: float | None) -> Peek:
    """An extreme only where the name is no metric's own."""
    metric, extreme = _metric(name, now), _extreme(name, now)
    if extreme is _nothing:
        return metric

    def read(line: bytes) -> Any:
        value = metric(line)
        return extreme(line) if value is None else value

    return read


def _extreme(name: str, _now: float | None) -> Peek:
    metric, _, kind = name.rpartition(".")
    if not metric or kind not in _EXTREMES:
        return _nothing
    needle, place = needle_of(metric), _EXTREMES[kind]

    def read(line: bytes) -> Any:
        start = line.find(EXTREMES) + len(EXTREMES)
        end = line.find(STAGES, start - 1)
        at = after(line, needle, start, end)
        if at < 0:
            return None
        stop = line.index(b"]", at) + 1
        if b'"' in line[at:stop]:
            return value_of(orjson.loads(line[start - 1 : end + 1])[metric][place])
        return orjson.loads(line[at:stop])[place]

    return read


def _stage(name: str, _now: float | None) -> Peek:
    stage, _, field = name.rpartition(".")
    if not stage or field not in _STAGE_FIELDS:
        return _nothing
    needle = needle_of(stage)

    def read(line: bytes) -> Any:
        start = line.find(STAGES) + len(STAGES)
        if after(line, needle, start, len(line)) < 0:
            return None
        record = orjson.loads(line[start - 1 : -1]).get(stage)
        return None if record is None else _stage_value(record, field)

    return read


def _stage_value(record: Mapping[str, Any], field: str) -> Any:
    if field == "passed":
        return record["outcome"] in _STANDS
    if field == "outcome":
        return record["outcome"] or RUN_FIELDS["outcome"]
    tests = record.get("tests")
    if field in ("total", "failed"):
        return None if tests is None else sum(tests) if field == "total" else tests[1]
    return record.get(field)


def _bare(name: str) -> Peek:
    """The parameter or the metric of a name; AmbiguousNameError where there are both."""
    both = (_metric(name, None), _param(name, None))

    def read_both(line: bytes) -> Any:
        values = [value for of in both if (value := of(line)) is not None]
        if len(values) > 1:
            raise _ambiguous(name, f"metrics.{name}", f"params.{name}")
        return values[0] if values else None

    return _lone(name, read_both, _nothing)


def _lone(name: str, otherwise: Peek, missing: Peek) -> Peek:
    """What stands once among parameters and metrics, whichever, as most names do.

    `otherwise` reads what doesn't, `missing` what no key of the line is called.
    """
    if name in _OTHER_KEYS:
        return otherwise
    needle = needle_of(name)
    length, loads = len(needle), orjson.loads

    def read(line: bytes) -> Any:
        at = line.find(needle)
        if at < 0:
            return missing(line)
        is_end = line[at - 1] == BACKSLASH
        at += length
        end = line.find(EXTREMES, at)
        first = line[at]
        if end < 0 or is_end or first in _OPENING or line.find(needle, at, end) >= 0:
            return otherwise(line)
        # As `scalar`, without a call for each of very many numbers.
        if first == QUOTE:
            return scalar(line, at)
        return loads(line[at : line.index(b",", at)].rstrip(b"}"))

    return read


def _is_doubtful(line: bytes, at: int, length: int) -> bool:
    """Whether it may be a stage's value, or an extreme's, or that of a longer name."""
    return line[at] in _OPENING or line[at - length - 1] == BACKSLASH


def _ambiguous(name: str, one: str, other: str) -> AmbiguousNameError:
    return AmbiguousNameError(f"{name} is ambiguous: write {one} or {other}")


def _nothing(_: bytes) -> None:
    return None


_DERIVED: Mapping[str, Callable[[float | None], Peek]] = {
    "age": _age,
    "baseline": _baseline,
    "marked": _marked,
    "tags": _tags,
}
_ROOTS: Mapping[str, Callable[[str, float | None], Peek]] = {
    "run": _run,
    "metrics": _metric_or_extreme,
    "params": _param,
    "stages": _stage,
    "tags": _tag,
}
