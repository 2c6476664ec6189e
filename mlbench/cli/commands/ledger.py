"""`mlbench ledger`: what was live when, by whom."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlbench.cli.output import narrate, print_json, print_table
from mlbench.domain.errors import MlbenchError
from mlbench.domain.names import friendly_name
from mlbench.domain.plain import to_plain
from mlbench.domain.release import LedgerEntry
from mlbench.engine.queries import Queries


class LedgerFaultError(MlbenchError):
    """The ledger's chain is broken."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--verify", action="store_true", help="check the chain of checksums")
    parser.add_argument("--at", metavar="TIME", help="what was live then (ISO 8601, UTC)")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print every promotion and rollback, or what was live at a time."""
    queries = Queries.of(Path(options.folder))
    if options.verify:
        return _verify(queries)
    entries = queries.live_at(options.at) if options.at else queries.ledger()
    if options.json:
        print_json([to_plain(entry) for entry in entries])
    elif entries:
        heads = ("#", "at (UTC)", "", "environment", "model", "run", "digest", "by", "why")
        print_table(heads, [_cells(entry) for entry in entries])
    else:
        narrate("nothing was live" if options.at else "nothing was promoted yet")
    return 0


def _verify(queries: Queries) -> int:
    fault = queries.ledger_fault()
    if fault is not None:
        raise LedgerFaultError(f".mlbench/ledger.jsonl: {fault}")
    narrate(f"the ledger is whole: {len(queries.ledger())} entries")
    return 0


def _cells(entry: LedgerEntry) -> tuple[str, ...]:
    return (
        str(entry.sequence),
        entry.at[:19].replace("T", " "),
        entry.action,
        entry.environment,
        f"{entry.model} v{entry.version}",
        friendly_name(entry.run),
        entry.digest[:12],
        entry.by,
        entry.why,
    )
