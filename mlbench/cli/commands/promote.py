"""`mlbench promote`: make a model what an environment serves."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.follow import carry_out, session
from mlbench.cli.output import narrate, print_json
from mlbench.cli.phrases import phrase
from mlbench.domain.commands import Command, Promote
from mlbench.domain.errors import UsageError
from mlbench.domain.events import Event, Notice, Promoted, TrafficChanged
from mlbench.domain.wire import event_to_plain


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("model", metavar="MODEL[@VERSION or @RUN]", help="what to promote")
    parser.add_argument("environment", metavar="ENV", help="where to")
    add_overruling(parser)


def add_overruling(parser: argparse.ArgumentParser) -> None:
    """Name the arguments of every command that gives a version requests."""
    parser.add_argument("--allow-dirty", action="store_true", help="also from uncommitted code")
    parser.add_argument(
        "--force", action="store_true", help="whatever gates and rules say; needs --reason"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for the ledger")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Promote, starting the environment's server if it is down."""
    if options.force and not options.reason.strip():
        raise UsageError("--force needs --reason TEXT, which the ledger keeps")
    model, _, which = options.model.partition("@")
    command = Promote(
        options.environment,
        model or None,
        which or None,
        allow_dirty=options.allow_dirty,
        force=options.force,
        reason=options.reason,
    )
    return release(options, command)


def release(options: argparse.Namespace, command: Command) -> int:
    """Carry out what changes an environment and say what it serves now."""
    promoted: list[Promoted | TrafficChanged] = []

    def on_event(event: Event, _command: str) -> None:
        if isinstance(event, Promoted | TrafficChanged):
            promoted.append(event)
        elif isinstance(event, Notice) and not options.json:
            narrate("\n".join(phrase(event)))

    try:
        with session(Path(options.folder)) as line:
            done = carry_out(line, command, on_event)
    finally:
        # Also where the world outside could not be told: it is live all the same.
        if options.json and promoted:
            print_json(event_to_plain(promoted[-1]))
    if not options.json:
        narrate(done.message)
    elif not promoted:
        print_json({"message": done.message})
    return done.exit_status
