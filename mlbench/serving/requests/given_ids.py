"""The id that a client gave a request which was refused before it was read: pure."""

from __future__ import annotations

import orjson

from mlbench.serving.requests.records import Kept

# A thread beside requests reads it, and holds the interpreter meanwhile.
_LONGEST_JSON = 1 << 16


def given_id(entry: Kept) -> str:
    """The id in a request's body; empty where it has none, is no JSON, or too long to look into."""
    text = entry.body if entry.header_length is None else entry.body[: entry.header_length]
    if not 0 < len(text) <= _LONGEST_JSON:
        return ""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    given = found.get("id") if isinstance(found, dict) else None
    return given if isinstance(given, str) else ""
