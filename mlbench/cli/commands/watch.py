"""`mlbench watch`: the loop without a screen."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.follow import session
from mlbench.cli.output import narrate, print_json
from mlbench.cli.phrases import phrase
from mlbench.domain.commands import SetWatch
from mlbench.domain.events import CommandDone, PlanMade
from mlbench.domain.wire import event_to_plain

_POLL_SECONDS = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON object an event")


def run(options: argparse.Namespace) -> int:
    """Watch until Ctrl-C, which stops what was started; attached where another holds the loop."""
    with session(Path(options.folder), stops_at_end=True) as line:
        if not line.holds_loop:
            narrate("another mlbench holds this folder's loop; following it")
        watches = False
        while True:
            if line.holds_loop and not watches:
                watches = bool(line.send(SetWatch(True)))
            for event in line.poll(_POLL_SECONDS):
                if isinstance(event, (CommandDone, PlanMade)):
                    continue
                if options.json:
                    print_json(event_to_plain(event))
                else:
                    for text in phrase(event):
                        print(text, flush=True)
