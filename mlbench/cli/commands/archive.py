"""`mlbench archive`: hide runs from the history, and lose nothing of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.engine.record_desk import RecordDesk


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("names", metavar="RUN", nargs="+", help="id, prefix, friendly name …")
    parser.add_argument("--remove", action="store_true", help="show them in the history again")


def run(options: argparse.Namespace) -> int:
    """Archive runs, or take them out of the archive."""
    narrate(RecordDesk.of(Path(options.folder)).archive(options.names, on=not options.remove))
    return 0
