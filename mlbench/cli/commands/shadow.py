"""`mlbench shadow`: copy requests to a version, whose answers are compared and never returned."""

from __future__ import annotations

import argparse

from mlbench.cli.commands.promote import release
from mlbench.cli.trials import look, show_one
from mlbench.domain.commands import EndTrial, StartShadow
from mlbench.domain.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("model", metavar="MODEL[@VERSION or @RUN]", help="what to send copies to")
    parser.add_argument("environment", metavar="ENV", help="where")
    parser.add_argument("--status", action="store_true", help="how it compares, and nothing else")
    parser.add_argument("--stop", action="store_true", help="end it")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for the ledger")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Begin a shadow; show how its answers compare where it runs; or end it."""
    model, _, which = options.model.partition("@")
    if options.stop:
        ending = EndTrial("shadow", options.environment, model or None, options.reason)
        return release(options, ending)
    if options.status or _follows(options, model or None, which):
        return show_one(options, model or None, "shadow")
    return release(options, StartShadow(options.environment, model or None, which or None))


def _follows(options: argparse.Namespace, model: str | None, which: str) -> bool:
    """Whether just this is on its way already."""
    try:
        _, now = look(options, model)
    except UsageError:
        # What is wrong is said by whoever would begin one.
        return False
    return now.traffic.shadow is not None and which in ("", str(now.traffic.shadow))
