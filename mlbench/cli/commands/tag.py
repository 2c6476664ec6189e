"""`mlbench tag`: mark a run with words, or with `key=value`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate
from mlbench.engine.record_desk import RecordDesk


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("tags", metavar="TAG", nargs="+", help="a word, or key=value")
    parser.add_argument("--remove", action="store_true", help="take the tags away")


def run(options: argparse.Namespace) -> int:
    """Add tags to a run or take them away."""
    desk = RecordDesk.of(Path(options.folder))
    narrate(desk.tag(options.name, options.tags, remove=options.remove))
    return 0
