"""The command that tells the world outside what is live: its names, filled in as a shell reads it.

Pure. `{path}` becomes one word of the shell whatever is in it; `{{path}}` stands for `{path}`, and
`${PATH}` is the shell's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlbench.domain.errors import nearest

NAMES = ("path", "version", "model", "environment", "run", "digest")

_NAME = re.compile(r"\{\{(\w+)\}\}|(?<!\$)\{([A-Za-z_]\w*)\}")


def problem_in(command: str) -> str | None:
    """What is wrong with a command as written, in words; None where nothing is."""
    for found in _NAME.finditer(command):
        name = found[2]
        if name is None:
            continue
        if name not in NAMES:
            return (
                f"{{{name}}} is none of {', '.join(f'{{{known}}}' for known in NAMES)}"
                f"{nearest(name, NAMES)}; write {{{{{name}}}}} for the braces themselves"
            )
        if _is_quoted(command[: found.start()]):
            return f"{{{name}}} stands in quotes; leave them out, it is quoted for the shell"
    return None


def filled(command: str, values: Mapping[str, str]) -> str:
    """The command with every name filled in and quoted, so that nothing in it is evaluated."""
    # Late: who only checks a command fills nothing in.
    import shlex

    return _NAME.sub(
        lambda found: f"{{{found[1]}}}" if found[1] else shlex.quote(values[found[2]]), command
    )


def _is_quoted(before: str) -> bool:
    """Whether a shell that has read this far stands within quotes, or behind a backslash."""
    quote, is_escaped = "", False
    for letter in before:
        if is_escaped:
            is_escaped = False
        elif letter == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"`":
            quote = letter
    return bool(quote) or is_escaped
