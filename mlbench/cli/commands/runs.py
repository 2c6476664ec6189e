"""`mlbench runs`: the history."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from mlbench.cli.output import narrate, number, print_json, print_table, seconds
from mlbench.domain.plain import to_plain
from mlbench.domain.runs import Run
from mlbench.engine.queries import Queries

_MOST_METRICS = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("--where", metavar="EXPR", help='such as "accuracy > 0.9 and dirty == 0"')
    parser.add_argument("--sort", metavar="KEY", help="a field, metric or param; -KEY descends")
    parser.add_argument("--limit", type=int, metavar="N", help="so many at most")
    parser.add_argument("--all", action="store_true", help="the watch's failures too")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--csv", metavar="FILE", help="a CSV file; - for standard output")


def run(options: argparse.Namespace) -> int:
    """Print recorded runs, newest first."""
    queries = Queries.of(Path(options.folder))
    runs = queries.runs(
        where=options.where, sort=options.sort, limit=options.limit, everything=options.all
    )
    for notice in queries.store().notices:
        narrate(notice)
    if options.json:
        print_json([as_plain(run) for run in runs])
    elif options.csv:
        _write_csv(options.csv, runs)
    elif runs:
        _print(runs)
    else:
        narrate("no runs yet; `mlbench run` makes the first")
    return 0


def as_plain(run: Run) -> dict[str, Any]:
    """A run as `runs --json` gives it: flat, without its stages."""
    return {
        "id": run.id,
        "name": run.name,
        "outcome": run.outcome.word if run.outcome else None,
        "origin": run.origin,
        "by": run.by,
        "started": run.started,
        "seconds": run.seconds,
        "commit": run.code.commit,
        "branch": run.code.branch,
        "dirty": run.code.dirty,
        "params": to_plain(run.params),
        "metrics": to_plain(run.metrics),
        "tags": list(run.marks.tags),
        "note": run.marks.note,
    }


def _print(runs: list[Run]) -> None:
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))[:_MOST_METRICS]
    rows = [
        (
            run.name,
            f"{run.outcome.glyph} {run.outcome.word}" if run.outcome else "running",
            run.started[:19].replace("T", " "),
            seconds(run.seconds),
            run.origin,
            f"{(run.code.commit or '')[:8]}{'±' if run.code.dirty and run.code.commit else ''}",
            *(number(run.metrics.get(name)) for name in metrics),
        )
        for run in runs
    ]
    print_table(("run", "outcome", "started (UTC)", "took", "origin", "commit", *metrics), rows)


def _write_csv(target: str, runs: list[Run]) -> None:
    params = sorted({f"params.{name}" for run in runs for name in run.params})
    metrics = sorted({f"metrics.{name}" for run in runs for name in run.metrics})
    plain = [as_plain(run) for run in runs]
    fixed = [key for key in (plain[0] if plain else {}) if key not in ("params", "metrics", "tags")]
    table = [[*fixed, *params, *metrics]]
    for row in plain:
        values = [row[key] for key in fixed]
        values += [row["params"].get(name.removeprefix("params.")) for name in params]
        values += [row["metrics"].get(name.removeprefix("metrics.")) for name in metrics]
        table.append(values)
    if target == "-":
        csv.writer(sys.stdout).writerows(table)
        return
    with open(target, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
