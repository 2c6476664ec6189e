"""`mlbench rollback`: make an environment serve what it served before."""

from __future__ import annotations

import argparse

from mlbench.cli.commands.promote import release
from mlbench.domain.commands import Rollback


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environment", metavar="ENV", help="where")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="of several, this one")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for the ledger")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Go back one version."""
    return release(options, Rollback(options.environment, options.model, options.reason))
