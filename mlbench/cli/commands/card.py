"""`mlbench card`: a model card, and the words that people add to it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.domain.errors import UsageError
from mlbench.engine.model_pages import card_of, find_row, write_words
from mlbench.engine.queries import Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument(
        "model", metavar="MODEL[@VERSION or @RUN]", help="whose card; default: its newest version"
    )
    parser.add_argument(
        "--words",
        metavar="FILE",
        help="Markdown on intended use and limits, taken into the card; - for standard input",
    )


def run(options: argparse.Namespace) -> int:
    """Print a card, or take words into it."""
    queries = Queries.of(Path(options.folder))
    row = find_row(queries, options.model)
    if options.words is None:
        print(card_of(queries, row.candidate), end="")
        return 0
    write_words(queries, row.candidate, _read(options.words))
    narrate(f"{options.model}: the words are in its card, {row.path.with_name('card.md')}")
    return 0


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"--words {name}: can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"--words {name}: is no UTF-8 text") from None
