"""`mlbench ledger`: what was live when, by whom."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from mlbench.cli.output import narrate, print_json, print_table
from mlbench.domain.errors import MlbenchError
from mlbench.domain.ledger import ACTION_WORDS, shares_in_words
from mlbench.domain.moments import moment_in
from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import plural
from mlbench.domain.plain import to_plain
from mlbench.domain.release import LedgerEntry
from mlbench.domain.serving import Traffic
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
    """Print every change of what serves, or what was live at a time."""
    queries = Queries.of(Path(options.folder))
    if options.verify:
        return _verify(queries)
    if options.at:
        return _show_at(queries, moment_in(options.at, time.time()), as_json=options.json)
    entries = queries.ledger()
    if options.json:
        print_json([to_plain(entry) for entry in entries])
    elif entries:
        _print(entries)
    else:
        narrate("nothing was promoted yet")
    return 0


def _show_at(queries: Queries, moment: str, *, as_json: bool) -> int:
    """What was live at a time, and what shared its traffic."""
    entries, shared = queries.live_at(moment), queries.traffic_at(moment)
    traffic = [shared.get(entry.environment, {}).get(entry.model) for entry in entries]
    if as_json:
        both = zip(entries, traffic, strict=True)
        print_json([to_plain(entry) | {"traffic": to_plain(beside)} for entry, beside in both])
        return 0
    narrate(f"live at {_shown(moment)} (UTC)")
    if entries:
        _print(entries)
    else:
        narrate("nothing was live")
    for entry, beside in zip(entries, traffic, strict=True):
        if beside is not None:
            print(f"{entry.environment}  {entry.model}  {_beside(beside)}")
    return 0


def _beside(traffic: Traffic) -> str:
    """`v3 80 %, v4 20 %; shadow v5`."""
    trials = (("canary", traffic.canary), ("shadow", traffic.shadow))
    told = [f"{word} v{version}" for word, version in trials if version is not None]
    return "; ".join([*filter(None, [shares_in_words(traffic.weights)]), *told])


def _print(entries: Sequence[LedgerEntry]) -> None:
    styles = ["red" if entry.forced else "" for entry in entries]
    print_table(_HEADS, [_cells(entry) for entry in entries], styles)


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
    action = ACTION_WORDS.get(entry.action, entry.action)
    return (
        str(entry.sequence),
        _shown(entry.at),
        f"{action}, forced" if entry.forced else action,
        entry.environment,
        f"{entry.model} {shares_in_words(entry.weights) or f'v{entry.version}'}",
        friendly_name(entry.run),
        entry.digest[:12],
        entry.by,
        entry.reason,
        entry.why,
    )


def _shown(moment: str) -> str:
    return moment[:19].replace("T", " ")
