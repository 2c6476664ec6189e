"""`mlbench delete`: take runs out of the record."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import confirmed, narrate
from mlbench.engine.record_desk import RecordDesk


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("names", metavar="RUN", nargs="+", help="id, prefix, friendly name …")
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(options: argparse.Namespace) -> int:
    """Delete runs with what lies under them, after a question."""
    what = ", ".join(options.names)
    if not options.yes and not confirmed(f"delete {what} with logs, curves and artifacts?"):
        narrate("nothing was deleted")
        return 0
    narrate(RecordDesk.of(Path(options.folder)).delete(options.names))
    return 0
