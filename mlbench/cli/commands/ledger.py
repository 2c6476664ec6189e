"""`mlbench ledger`: what was live when, by whom."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mlbench.cli.output import narrate, print_json, print_table
from mlbench.domain.errors import MlbenchError
from mlbench.domain.moments import moment_in
from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import plural
from mlbench.domain.plain import to_plain
from mlbench.domain.release import LedgerEntry
from mlbench.engine.queries import Queries

_HEADS = ("#", "at (UTC)", "", "environment", "model", "run", "digest", "by", "reason", "why")


class LedgerFaultError(MlbenchError):
    """The ledger is not what was written, or an environment not what the ledger says."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument(
        "--verify", action="store_true", help="find any edit, and a ledger that was cut short"
    )
    parser.add_argument(
        "--at", metavar="TIME", help='what was live then: "2026-11-23 09:15" (UTC), 2d for ago'
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print every promotion and rollback, or what was live at a time."""
    queries = Queries.of(Path(options.folder))
    if options.verify:
        return _verify(queries)
    moment = moment_in(options.at, time.time()) if options.at else None
    entries = queries.live_at(moment) if moment else queries.ledger()
    if options.json:
        print_json([to_plain(entry) for entry in entries])
        return 0
    if moment:
        narrate(f"live at {_shown(moment)} (UTC)")
    if entries:
        styles = ["red" if entry.forced else "" for entry in entries]
        print_table(_HEADS, [_cells(entry) for entry in entries], styles)
    else:
        narrate("nothing was live" if moment else "nothing was promoted yet")
    return 0


def _verify(queries: Queries) -> int:
    fault = queries.ledger_fault()
    if fault is not None:
        raise LedgerFaultError(f".mlbench/ledger.jsonl: {fault}")
    late = queries.behind_ledger()
    if late is not None:
        raise LedgerFaultError(late)
    narrate(f"the ledger is whole: {plural(len(queries.ledger()), 'entry', 'entries')}")
    return 0


def _cells(entry: LedgerEntry) -> tuple[str, ...]:
    return (
        str(entry.sequence),
        _shown(entry.at),
        f"{entry.action}, forced" if entry.forced else entry.action,
        entry.environment,
        f"{entry.model} v{entry.version}",
        friendly_name(entry.run),
        entry.digest[:12],
        entry.by,
        entry.reason,
        entry.why,
    )


def _shown(moment: str) -> str:
    return moment[:19].replace("T", " ")
