"""Reading one value out of an undecoded line of the index: a tenth of what decoding it costs.

It relies on the order that `tracking/index.py` writes, and on JSON itself: inside a text every
quotation mark is escaped, so that `,"metrics":{` can be nothing but the section of that name.
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
    "baseline_since": "",
}
# Those that every line has, before any other of the same name.
_ALWAYS = frozenset(("id", "name", "outcome", "origin", "by", "started", "seconds"))
_EXTREMES = {"min": 0, "min_step": 1, "max": 2, "max_step": 3}
_STAGE_FIELDS = ("passed", "seconds", "outcome", "total", "failed", "cpu_seconds", "peak_memory")
_STANDS = frozenset(outcome.word for outcome in StageOutcome if outcome.stands)
_OUTCOME, _PASSED = b'"outcome":', b'"outcome":"passed"'
_ARCHIVED, _FROM_WATCH = b'"archived":true', b'"origin":"watch"'
_KEEPING = (b'"tags":', b'"note":', b'"star":', b'"baseline_since":')
_MARKS, _PARAMS = b',"marks":{', b',"params":{'
_METRICS, _BEST, _STAGES = b'},"metrics":{', b'},"extremes":{', b'},"stages":{'
# What stands before the parameters besides the fields.
_HEAD_NAMES = frozenset((*RUN_FIELDS, "state", "marks", "tags"))
_NOT_NUMBER = frozenset(b'"[')
_QUOTE, _BRACKET, _BACKSLASH = b'"[\\'


class AmbiguousNameError(ExpressionError):
    """A bare name that a run has twice; the message says how to write either."""


def id_of(line: bytes) -> str:
    """The id of a line's run, which stands first in it."""
    return line[7 : line.index(b'"', 7)].decode()


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
    if extreme is _nothing and not others:
        return read

    def read_all(line: bytes) -> Any:
        value = read(line)
        for path, of in others:
            other = of(line)
            if other is not None and value is not None:
                root = "params" if _param(name, now)(line) is not None else "metrics"
                raise _ambiguous(name, f"{root}.{name}", path)
            value = other if value is None else value
        return extreme(line) if value is None else value

    return read_all


def peek_first(name: str, now: float | None = None) -> Peek:
    """As `peek`, and of a name that a run has twice the field, else the metric, the parameter."""
    root, _, rest = name.partition(".")
    if rest and root in _ROOTS:
        return _ROOTS[root](rest, now)
    if name in RUN_FIELDS or name in _DERIVED:
        return _run(name, now)
    reads = [make(name, now) for make in (_metric, _param, _stage, _extreme)]

    def read(line: bytes) -> Any:
        for of in reads:
            value = of(line)
            if value is not None:
                return value
        return None

    return read


def is_shown(line: bytes, *, archived_too: bool = False) -> bool:
    """Whether `runs` shows a run without --all: it passed, was asked for by hand, or is marked."""
    end = line.find(_PARAMS)
    if not archived_too and line.find(_ARCHIVED, 0, end) >= 0:
        return False
    if line.startswith(_PASSED, line.find(_OUTCOME)):
        return True
    return line.find(_FROM_WATCH, 0, end) < 0 or line.find(_MARKS, 0, end) >= 0


def is_archived(line: bytes) -> bool:
    """Whether the run was taken out of sight."""
    return line.find(_ARCHIVED, 0, line.find(_PARAMS)) >= 0


def has_passed(line: bytes) -> bool:
    """Whether the run passed; its outcome is the first thing in the line that is called so."""
    return line.startswith(_PASSED, line.find(_OUTCOME))


def _run(name: str, now: float | None) -> Peek:
    if name in _DERIVED:
        return _DERIVED[name](now)
    if name not in RUN_FIELDS:
        return _nothing
    needle, absent, is_always = _needle(name), RUN_FIELDS[name], name in _ALWAYS

    def read(line: bytes) -> Any:
        at = _after(line, needle, 0, len(line) if is_always else line.find(_PARAMS))
        value = None if at < 0 else _scalar(line, at)
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
    """Whether somebody's marks say that the run is worth keeping."""

    def read(line: bytes) -> bool:
        at, end = line.find(_MARKS), line.find(_PARAMS)
        return 0 <= at < end and any(line.find(mark, at, end) >= 0 for mark in _KEEPING)

    return read


def _tags(_: float | None) -> Peek:
    return _tags_of


def _tags_of(line: bytes) -> list[str]:
    end = line.find(_PARAMS)
    at = line.find(_MARKS, 0, end)
    if at < 0:
        return []
    return list(orjson.loads(line[at + len(_MARKS) - 1 : end]).get("tags", ()))


def _tag(tag: str, _: float | None) -> Peek:
    """True for a tag, the text behind `tag=`, or False where the run has neither."""

    def read(line: bytes) -> Any:
        tags = _tags_of(line)
        given = (item.partition("=")[2] for item in tags if item.startswith(f"{tag}="))
        return True if tag in tags else next(given, False)

    return read


def _param(name: str, _: float | None) -> Peek:
    needle = _needle(name)

    def read(line: bytes) -> Any:
        start = line.find(_PARAMS) + len(_PARAMS)
        at = _after(line, needle, start, line.find(_METRICS, start - 1))
        return None if at < 0 else _scalar(line, at)

    return read


def _metric(name: str, _: float | None) -> Peek:
    """The last value."""
    needle = _needle(name)

    def read(line: bytes) -> Any:
        start = line.find(_METRICS) + len(_METRICS)
        at = _after(line, needle, start, line.find(_BEST, start - 1))
        return None if at < 0 else _scalar(line, at)

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
    needle, place = _needle(metric), _EXTREMES[kind]

    def read(line: bytes) -> Any:
        start = line.find(_BEST) + len(_BEST)
        end = line.find(_STAGES, start - 1)
        at = _after(line, needle, start, end)
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
    needle = _needle(stage)

    def read(line: bytes) -> Any:
        start = line.find(_STAGES) + len(_STAGES)
        if _after(line, needle, start, len(line)) < 0:
            return None
        record = orjson.loads(line[start - 1 : -1]).get(stage)
        return None if record is None else _stage_value(record, field)

    return read


def _stage_value(record: Mapping[str, Any], field: str) -> Any:
    if field == "passed":
        return record["outcome"] in _STANDS
    tests = record.get("tests")
    if field in ("total", "failed"):
        return None if tests is None else sum(tests) if field == "total" else tests[1]
    return record.get(field)


def _bare(name: str) -> Peek:
    """The parameter or the metric of a name; AmbiguousNameError where there are both."""
    needle = _needle(name)
    length = len(needle)
    is_field = name in _HEAD_NAMES

    def read(line: bytes) -> Any:
        at = line.find(needle)
        if at < 0:
            return None
        # Once, before the extremes and not as the end of a longer name: that is it. A field of
        # the run may be called so, too.
        if (
            is_field
            or line.find(needle, at + length) >= 0
            or line.find(_BEST, at) < 0
            or line[at - 1] == _BACKSLASH
        ):
            return read_both(line)
        at += length
        return _scalar(line, at) if line[at] in _NOT_NUMBER else _number(line, at)

    def read_both(line: bytes) -> Any:
        values = [value for of in both if (value := of(line)) is not None]
        if len(values) > 1:
            raise _ambiguous(name, f"metrics.{name}", f"params.{name}")
        return values[0] if values else None

    both = (_metric(name, None), _param(name, None))
    return read


def _ambiguous(name: str, one: str, other: str) -> AmbiguousNameError:
    return AmbiguousNameError(f"{name} is ambiguous: write {one} or {other}")


def _nothing(_: bytes) -> None:
    return None


def _needle(name: str) -> bytes:
    return orjson.dumps(name.encode("utf-8", "backslashreplace").decode()) + b":"


def _after(line: bytes, needle: bytes, start: int, end: int) -> int:
    """Where the value of a key begins; -1 where the key isn't there.

    Behind a comma or a brace it is a key; behind a backslash, the end of another one.
    """
    at = line.find(needle, start, end)
    while at >= 0 and line[at - 1] == _BACKSLASH:
        at = line.find(needle, at + 1, end)
    return at if at < 0 else at + len(needle)


def _scalar(line: bytes, at: int) -> Any:
    """The text, number or truth that begins here."""
    first = line[at]
    if first == _QUOTE:
        end = line.index(b'"', at + 1)
        text = line[at + 1 : end]
        if b"\\" not in text:
            return text.decode()
        return orjson.loads(line[at : _end_of_text(line, end)])
    if first == _BRACKET:
        return value_of(orjson.loads(line[at : line.index(b"]", at) + 1]))
    return _number(line, at)


def _number(line: bytes, at: int) -> Any:
    """The number, or true, false or null; another value or a section follows it."""
    return orjson.loads(line[at : line.index(b",", at)].rstrip(b"}"))


def _end_of_text(line: bytes, end: int) -> int:
    """Behind the quotation mark that ends a text: the first, from `end` on, that isn't escaped."""
    while True:
        before = line[:end]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return end + 1
        end = line.index(b'"', end + 1)


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
