"""`mlbench stop`: stop what runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.follow import carry_out, session
from mlbench.cli.output import narrate
from mlbench.domain.commands import StopStages
from mlbench.engine.queries import Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="these alone; default: all")


def run(options: argparse.Namespace) -> int:
    """Ask the holder of the loop to stop stages, or stop what a holder that is gone has left."""
    folder = Path(options.folder)
    if not Queries.of(folder).something_runs():
        narrate("nothing is running")
        return 0
    with session(folder) as line:
        done = carry_out(line, StopStages(tuple(options.stages)), lambda _event, _command: None)
    narrate(done.message)
    return done.exit_status
