"""`mlbench logs`: what the stages of a run printed."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mlbench.cli.output import coloured, narrate
from mlbench.engine.queries import Queries

_POLL_SECONDS = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("name", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("stage", nargs="?", metavar="STAGE", help="one stage; default: all")
    parser.add_argument("-f", "--follow", action="store_true", help="go on while it is written")


def run(options: argparse.Namespace) -> int:
    """Print logs whole, as they were written; also of a run that is still going."""
    queries = Queries.of(Path(options.folder))
    folders = queries.stage_folders(options.name, options.stage)
    if queries.is_script(options.name):
        narrate("no log: what a script outside of a pipeline prints goes to its terminal alone")
        return 0
    for stage, folder in folders.items():
        if len(folders) > 1:
            narrate(coloured(f"── {stage}", "strong", sys.stderr))
        _print(folder, options.follow)
    return 0


def _print(folder: Path, follow: bool) -> None:
    log, ending = folder / "log", folder / "exit.json"
    while follow and not log.exists() and not ending.exists():
        time.sleep(_POLL_SECONDS)
    if not log.exists():
        narrate("no log: this stage did not run here")
        return
    with log.open("rb") as file:
        while True:
            # Asked before the read: what is written after the end was seen is then still read.
            has_ended = ending.exists()
            while data := file.read(1 << 20):
                sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            if not follow or has_ended:
                return
            time.sleep(_POLL_SECONDS)
