"""How the command line prints: data to standard output, narration to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

from mlbench.domain.errors import UsageError

# Names of domain.outcomes' vocabulary to the eight colours that every terminal has.
_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "info": "36", "quiet": "2", "strong": "1"}


def print_json(value: Any) -> None:
    """One JSON document, or one line of a stream, flushed at once; NaN and infinity are null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        # Late: few documents hold such numbers.
        from mlbench.domain.plain import finite

        text = json.dumps(finite(value), ensure_ascii=False)
    print(text, flush=True)


def narrate(text: str) -> None:
    """A sentence for whoever watches; never part of the data."""
    print(text, file=sys.stderr, flush=True)


def confirmed(question: str) -> bool:
    """Whether whoever sits at the terminal says yes; UsageError where nobody does."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} There is no terminal to ask at; --yes says so beforehand")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def coloured(text: str, colour: str, stream: IO[str] | None = None) -> str:
    """The text in a named colour where the stream is a terminal and NO_COLOR is not set."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def print_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = ()
) -> None:
    """A table as wide as its content; columns that are empty everywhere are left out.

    `styles` are Rich's, one a row.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [tuple(row) for row in rows]
    kept = [at for at in range(len(heads)) if not rows or any(row[at] for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for at in kept:
        table.add_column(heads[at], no_wrap=True, overflow="ellipsis")
    for number, row in enumerate(rows):
        style = styles[number] if styles else None
        table.add_row(*(Text(row[at]) for at in kept), style=style)
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else 10_000
    Console(width=width, highlight=False, soft_wrap=not is_terminal).print(table)
