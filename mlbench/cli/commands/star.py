"""`mlbench star`: mark a run as worth keeping."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.engine.record_desk import RecordDesk


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("--remove", action="store_true", help="take the star away")


def run(options: argparse.Namespace) -> int:
    """Star a run, or take its star away."""
    narrate(RecordDesk.of(Path(options.folder)).star(options.name, on=not options.remove))
    return 0
