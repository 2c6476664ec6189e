"""How the command line prints: data to standard output, narration to standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

from mlbench.domain.errors import UsageError

# Whole numbers below this are shown as they are; above it a float has no digits to spare.
_EXACT = 1e15
# Names of domain.outcomes' vocabulary to the eight colours that every terminal has.
_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "info": "36", "quiet": "2", "strong": "1"}


def print_json(value: Any) -> None:
    """One JSON document, or one line of a stream, flushed at once; NaN and infinity are null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False)
    print(text, flush=True)


def _finite(value: Any) -> Any:
    """The value with null for each number that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as its content; columns that are empty everywhere are left out."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [tuple(row) for row in rows]
    kept = [at for at in range(len(heads)) if not rows or any(row[at] for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for at in kept:
        table.add_column(heads[at], no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(row[at]) for at in kept))
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else 10_000
    Console(width=width, highlight=False, soft_wrap=not is_terminal).print(table)


def number(value: float | None) -> str:
    """A number in few digits that still tell."""
    if value is None:
        return ""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < _EXACT):
        return str(int(value))
    return f"{value:.4g}"


def seconds(value: float) -> str:
    """`0.42 s`, `6.1 s`, `2:05`, `1:02:05`."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: int) -> str:
    """Bytes: `512 B`, `40 KB`, `1.2 MB`."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
