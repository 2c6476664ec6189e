"""`--over "train.alpha=log(1e-5,1e-1)"`: a parameter and what it may be, as somebody types it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from mlbench.domain.errors import UsageError, nearest
from mlbench.domain.spaces import problem_in_choices, problem_in_range
from mlbench.domain.sweeps import Dimension, Range
from mlbench.project.assignments import literal

# A range's: whether it is logarithmic, and whether it is one of whole numbers.
_RANGES = {
    "float": (False, False),
    "int": (False, True),
    "log": (True, False),
    "logint": (True, True),
}
_KINDS = (*_RANGES, "choice")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\((.*)\)", re.DOTALL)
_EXAMPLE = "write KEY=log(1e-5,1e-1), KEY=int(1,10), KEY=float(0,1) or KEY=32,64,128"
_ENDS = {"[": "]", "{": "}", "(": ")"}


def parse_over(text: str) -> Dimension:
    """What `[FILE:]KEY=VALUES` says; UsageError, with an example, where it is none.

    VALUES are log(a,b), float(a,b[,step]), int(a,b[,step]), logint(a,b), choice(a,b,…), or choices
    with commas between them.
    """
    place, equals, values = text.partition("=")
    file, colon, key = (part.strip() for part in place.rpartition(":"))
    if not equals or not key or (colon and not file):
        _refuse(text, "varies nothing")
    name = f"{file}:{key}" if file else key
    call = _CALL.fullmatch(values.strip())
    if call is None:
        choices = _choices(text, values)
        if len(choices) == 1:
            _refuse(text, "gives one value, and a sweep tries several")
        return Dimension(name, choices=choices)
    kind, inner = call.groups()
    if kind not in _KINDS:
        _refuse(text, f"{kind}(…) is none of {', '.join(_KINDS)}{nearest(kind, _KINDS)}")
    if kind == "choice":
        return Dimension(name, choices=_choices(text, inner))
    return Dimension(name, range=_range(text, kind, inner))


def _range(text: str, kind: str, inner: str) -> Range:
    log, is_whole = _RANGES[kind]
    most = 2 if log else 3
    words = list(_split(inner))
    if not 2 <= len(words) <= most:
        wanted = f"{kind}(LOW,HIGH)" if log else f"{kind}(LOW,HIGH) or {kind}(LOW,HIGH,STEP)"
        _refuse(text, f"has to be {wanted}")
    low, high, *step = (_number(text, word, is_whole) for word in words)
    numbers = Range(low, high, log, step[0] if step else None, is_whole)
    problem = problem_in_range(numbers)
    if problem is not None:
        _refuse(text, problem)
    return numbers


def _number(text: str, word: str, is_whole: bool) -> float:
    try:
        number = float(word)
    except ValueError:
        _refuse(text, f'"{word}" is no number')
    if not is_whole:
        return number
    if not number.is_integer():
        _refuse(text, f"{word} is no whole number")
    # Through a float large ones would be others.
    return int(word) if re.fullmatch(r"[+-]?\d+", word) else int(number)


def _choices(text: str, inner: str) -> tuple[Any, ...]:
    words = list(_split(inner))
    if not all(words):
        _refuse(text, "has an empty choice")
    choices = tuple(map(_value, words))
    problem = problem_in_choices(choices)
    if problem is not None:
        _refuse(text, problem)
    return choices


def _value(word: str) -> Any:
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    value = literal(word)
    # What no format reads, as a lone quote in it, is text without the quotes around it.
    return word[1:-1] if quoted and not isinstance(value, str) else value


def _split(inner: str) -> Iterator[str]:
    """The words between commas that are in no quotes and no brackets."""
    word, waits, quote, escaped = "", [""], "", False
    for sign in inner:
        if quote:
            quote = "" if sign == quote and not escaped else quote
            escaped = sign == "\\" and quote == '"' and not escaped
        elif sign in "'\"":
            quote = sign
        elif sign in _ENDS:
            waits.append(_ENDS[sign])
        elif sign == waits[-1]:
            waits.pop()
        elif sign == "," and len(waits) == 1:
            yield word.strip()
            word = ""
            continue
        word += sign
    yield word.strip()


def _refuse(text: str, problem: str) -> NoReturn:
    raise UsageError(f'--over "{text}": {problem}; {_EXAMPLE}')
