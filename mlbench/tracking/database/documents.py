"""A document as one line of JSON and back: quick where that is exact, exact everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

_SEPARATORS = (",", ":")
# JSON that orjson would read as something else (NaN, integers over 64 bits, lone surrogates)
# begins with a space behind the brace, which means nothing to anybody else.
_EXACT = b"{ "


def encode(document: Mapping[Any, Any]) -> bytes:
    """A document as one line of UTF-8 without a newline; TypeError for what JSON can't hold.

    Takes what TinyDB's own storage takes: keys that are numbers become text, tuples lists.
    """
    plain = dict(document)
    text = json.dumps(plain, ensure_ascii=False, separators=_SEPARATORS)
    try:
        line = text.encode()
        if json.dumps(orjson.loads(line), ensure_ascii=False, separators=_SEPARATORS) == text:
            return line
    except ValueError:
        pass
    return _EXACT + json.dumps(plain, separators=_SEPARATORS)[1:].encode("ascii")


def decode(line: bytes) -> dict[str, Any]:
    """A new document from the line that `encode` made; ValueError where it is none."""
    value = json.loads(line) if line.startswith(_EXACT) else orjson.loads(line)
    if not isinstance(value, dict):
        raise ValueError("not a document")
    return value
