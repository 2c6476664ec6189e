"""`mlbench baseline`: the run that others are compared with."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.engine.record_desk import RecordDesk


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("--remove", action="store_true", help="have it be the baseline no longer")


def run(options: argparse.Namespace) -> int:
    """Make a run the baseline, in place of the one before."""
    narrate(RecordDesk.of(Path(options.folder)).baseline(options.name, on=not options.remove))
    return 0
