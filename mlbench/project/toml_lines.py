"""Which line of a TOML file each key stands on: what an error message points at.

The standard library's parser keeps no positions, so this reads the text a second time, and only
when a message needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Compiled when a message needs it, and the parser imported then: most commands have no message.
_TOKEN = r"""(?xs)
    (?P<comment>\#[^\n]*)
  | (?P<string>\"\"\"(?:\\.|[^\\])*?\"{3,5} | '''.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
  | (?P<open>[\[{])
  | (?P<close>[\]}])
  | (?P<newline>\n)
  | (?P<equals>=)
  | (?P<other>[^\s\#"'\[\]{}=]+|.)
"""


def lines_of_keys(text: str) -> dict[str, int]:
    """Each dotted key or table of a valid TOML text, with its line from 1; first one wins."""
    lines: dict[str, int] = {}
    table = ""
    for line, statement in _statements(text):
        if statement.startswith("["):
            table = _path(statement.strip("[]")) or ""
            _note(lines, table, line)
        else:
            key = _path(statement)
            if key is not None:
                _note(lines, f"{table}.{key}" if table else key, line)
    return lines


def _note(lines: dict[str, int], key: str, line: int) -> None:
    parts = key.split(".")
    for end in range(1, len(parts) + 1):
        lines.setdefault(".".join(parts[:end]), line)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each table header, and what stands before each top-level equals sign, with its line."""
    line, depth, pending, in_value = 1, 0, "", False
    for match in re.finditer(_TOKEN, text):
        kind, token = match.lastgroup, match.group()
        if kind == "newline":
            if depth == 0:
                if not in_value and pending.strip():
                    yield line, pending.strip()
                pending, in_value = "", False
        elif kind == "equals" and depth == 0 and not in_value:
            yield line, pending.strip()
            in_value = True
        elif kind in ("open", "close") and in_value:
            depth += 1 if kind == "open" else -1
        elif kind != "comment" and not in_value:
            pending += token
        line += token.count("\n")
    if not in_value and pending.strip():
        yield line, pending.strip()


def _path(key: str) -> str | None:
    """A key as written, quotes and spaces gone: `space."train.alpha"` gives `space.train.alpha`."""
    import tomllib

    try:
        value: object = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return None
    parts: list[str] = []
    while isinstance(value, dict):
        part, value = next(iter(value.items()))
        parts.append(part)
    return ".".join(parts)
