"""`mlbench models`: versions and candidates with gates and parity."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mlbench.cli.output import narrate, print_json, print_table
from mlbench.domain.names import friendly_name
from mlbench.domain.plain import to_plain
from mlbench.engine.queries import ModelRow, Queries


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print what could be, is and was live."""
    rows = Queries.of(Path(options.folder)).models()
    if options.json:
        print_json([as_plain(row) for row in rows])
    elif rows:
        heads = ("model", "version", "run", "gates", "parity", "size", "p99", "live in", "digest")
        print_table(heads, [_cells(row) for row in rows])
    else:
        narrate("no model yet; a run that passes its gates makes a candidate (`mlbench run`)")
    return 0


def as_plain(row: ModelRow) -> dict[str, Any]:
    """A version or candidate as `models --json` gives it; a candidate's version is null."""
    item = row.candidate
    return {
        "model": item.model,
        "version": item.version,
        "run": item.run,
        "digest": item.digest,
        "created": item.created,
        "environments": list(row.environments),
        "gates": to_plain(item.gates),
        "parity": to_plain(item.parity),
        "latency": to_plain(item.latency),
        "bytes": item.size,
        "path": str(row.path),
    }


def _cells(row: ModelRow) -> tuple[str, ...]:
    item = row.candidate
    judged = [gate for gate in item.gates if gate.passed is not None]
    held = sum(1 for gate in judged if gate.passed)
    sign = "✗" if any(gate.refuses for gate in judged) else "✓"
    return (
        item.model,
        f"v{item.version}" if item.version else "candidate",
        friendly_name(item.run),
        f"{sign} {held} of {len(judged)}",
        f"{'✓' if item.parity.passed else '✗'} {item.parity.max_abs_error:.1e}",
        f"{item.size / 1024:.1f} KiB",
        f"{item.latency['p99_ms']:.2f} ms",
        ", ".join(row.environments),
        item.digest[:12],
    )
