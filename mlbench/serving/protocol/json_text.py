"""JSON from strangers: valid, and not nested deeper than anybody needs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import orjson

from mlbench.serving.refusals import RequestError

DEPTH_LIMIT = 100
LISTS_LIMIT = 1_000_000
"""Lists and objects in one text: of two bytes each, they would take forty times that in memory."""

_STRING = re.compile(rb'"[^"]*"')
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_CHUNK = 1 << 16


def parse_json(text: bytes, what: str = "the body") -> Any:
    """The value of a JSON text; RequestError 400 where it is none, too deep, or all brackets.

    `what` names it in the refusal.
    """
    lists = text.count(b"[") + text.count(b"{")
    if lists > LISTS_LIMIT:
        raise RequestError(
            400,
            f"{what} has more than {LISTS_LIMIT} lists and objects; send data flat or in binary",
        )
    if lists > DEPTH_LIMIT and _nested_too_deep(text):
        raise RequestError(400, f"{what} is nested deeper than {DEPTH_LIMIT} levels")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"{what} is not JSON: {error}") from None


def _nested_too_deep(text: bytes) -> bool:
    """Whether JSON text opens more than DEPTH_LIMIT lists and objects within each other."""
    # Pairs of backslashes first: what is left of each run then says whether a quote is escaped.
    plain = text.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in text else text
    # Quotes side by side are an empty string or the seam of two: without them less is a string.
    structure = plain.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    brackets = _STRING.sub(b"", structure) if b'"' in structure else structure
    depth = 0
    for start in range(0, len(brackets), _CHUNK):
        chunk = np.frombuffer(brackets, np.uint8, min(_CHUNK, len(brackets) - start), start)
        depths = np.cumsum(_STEPS[chunk], dtype=np.int64)
        if depth + int(depths.max()) > DEPTH_LIMIT:
            return True
        depth += int(depths[-1])
    return False
