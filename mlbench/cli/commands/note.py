"""`mlbench note`: say something about a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.engine.record_desk import RecordDesk


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("text", metavar="TEXT", nargs="*", help="nothing takes the note away")


def run(options: argparse.Namespace) -> int:
    """Replace the note of a run."""
    narrate(RecordDesk.of(Path(options.folder)).note(options.name, " ".join(options.text)))
    return 0
