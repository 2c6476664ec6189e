"""Where things stand in an undecoded line of the index: a tenth of what decoding it costs.

It relies on the order that `tracking/index.py` writes, and on JSON itself: inside a text every
quotation mark is escaped, so that `,"params":{` can be nothing but the section of that name.
"""

from __future__ import annotations

from typing import Any

import orjson

from mlbench.tracking.index import value_of

MARKS, PARAMS = b',"marks":{', b',"params":{'
METRICS, EXTREMES, STAGES = b'},"metrics":{', b'},"extremes":{', b'},"stages":{'
QUOTE, BACKSLASH, BRACKET, BRACE = b'"\\[{'
_OUTCOME, _PASSED, _GOING = b'"outcome":', b'"outcome":"passed"', b'"outcome":null'
_PASSED_UNMARKED = b'"outcome":"passed","origin":"'
_BEHIND_MARKS = b'},"origin":"'
_ARCHIVED, _ORIGIN = b'"archived":true', b'"origin":"'
_SWEEP, _WATCH = b'sweep"', b'watch"'
_UP_TO_ORIGIN = len(_PASSED_UNMARKED)
_KEEPING = (b'"tags":', b'"note":', b'"star":', b'"baseline_since":')


def id_of(line: bytes) -> str:
    """The id of a line's run, which stands first in it."""
    return line[7 : line.index(b'"', 7)].decode()


def is_shown(line: bytes, *, archived_too: bool = False, trials_too: bool = False) -> bool:
    """Whether `runs` shows a run without --all: it passed, was asked for by hand, or is marked.

    A trial of a study is shown only where it is marked.
    """
    at = line.find(_OUTCOME)
    # So are most.
    if line.startswith(_PASSED_UNMARKED, at):
        return trials_too or not line.startswith(_SWEEP, at + _UP_TO_ORIGIN)
    marks = marks_of(line)
    if marks:
        return archived_too or _ARCHIVED not in marks
    hidden = _WATCH if trials_too else (_WATCH, _SWEEP)
    return not line.startswith(hidden, line.find(_ORIGIN, at) + len(_ORIGIN))


def is_trial(line: bytes) -> bool:
    """Whether the run is one of a study."""
    return line.startswith(_SWEEP, line.find(_ORIGIN, line.find(_OUTCOME)) + len(_ORIGIN))


def is_archived(line: bytes) -> bool:
    """Whether the run was taken out of sight."""
    return _ARCHIVED in marks_of(line)


def is_marked(line: bytes) -> bool:
    """Whether somebody's marks say that the run is worth keeping."""
    marks = marks_of(line)
    return any(mark in marks for mark in _KEEPING)


def has_passed(line: bytes) -> bool:
    """Whether the run passed; its outcome is the first thing in the line that is called so."""
    return line.startswith(_PASSED, line.find(_OUTCOME))


def is_going(line: bytes) -> bool:
    """Whether the run has not ended."""
    return line.startswith(_GOING, line.find(_OUTCOME))


def marks_of(line: bytes) -> bytes:
    """The marks as JSON, empty where there are none; they stand behind the outcome."""
    at = line.find(b",", line.find(_OUTCOME))
    if not line.startswith(MARKS, at):
        return b""
    return line[at + len(MARKS) - 1 : line.index(_BEHIND_MARKS, at) + 1]


def tags_of(line: bytes) -> list[str]:
    """The tags of a run."""
    marks = marks_of(line)
    return list(orjson.loads(marks).get("tags", ())) if marks else []


def needle_of(name: str) -> bytes:
    """What a key of this name looks like, with the colon behind it."""
    return orjson.dumps(name.encode("utf-8", "backslashreplace").decode()) + b":"


def after(line: bytes, needle: bytes, start: int, end: int) -> int:
    """Where the value of a key begins; -1 where the key isn't there.

    Behind a comma or a brace it is a key; behind a backslash, the end of another one.
    """
    at = line.find(needle, start, end)
    while at >= 0 and line[at - 1] == BACKSLASH:
        at = line.find(needle, at + 1, end)
    return at if at < 0 else at + len(needle)


def scalar(line: bytes, at: int) -> Any:
    """The text, number or truth that begins here."""
    first = line[at]
    if first == QUOTE:
        end = line.index(b'"', at + 1)
        text = line[at + 1 : end]
        if b"\\" not in text:
            return text.decode()
        return orjson.loads(line[at : _end_of_text(line, end)])
    if first == BRACKET:
        return value_of(orjson.loads(line[at : line.index(b"]", at) + 1]))
    # Another value or a section follows it.
    return orjson.loads(line[at : line.index(b",", at)].rstrip(b"}"))


def _end_of_text(line: bytes, end: int) -> int:
    """Behind the quotation mark that ends a text: the first, from `end` on, that isn't escaped."""
    while True:
        before = line[:end]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return end + 1
        end = line.index(b'"', end + 1)
