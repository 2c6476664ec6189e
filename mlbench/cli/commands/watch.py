"""`mlbench watch`: the loop without a screen."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mlbench.cli.follow import session
from mlbench.cli.output import narrate, print_json
from mlbench.cli.phrases import phrase
from mlbench.domain.commands import SetWatch
from mlbench.domain.events import CommandDone, PlanMade
from mlbench.domain.plain import event_to_plain

_POLL_SECONDS = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON object an event")


def run(options: argparse.Namespace) -> int:
    """Watch until Ctrl-C; attached where another process holds the loop."""
    with session(Path(options.folder)) as line:
        if line.holds_loop:
            line.send(SetWatch(True))
        else:
            narrate("another mlbench holds this folder's loop; following it")
        while True:
            for event in line.poll():
                if isinstance(event, (CommandDone, PlanMade)):
                    continue
                if options.json:
                    print_json(event_to_plain(event))
                else:
                    for text in phrase(event):
                        print(text, flush=True)
            time.sleep(_POLL_SECONDS)
