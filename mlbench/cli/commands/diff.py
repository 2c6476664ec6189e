"""`mlbench diff`: what differs between two runs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.cli.output import narrate, number, print_json, print_table
from mlbench.domain.runs import Run
from mlbench.engine.queries import Queries

_KINDS = ("params", "metrics", "code", "stages")


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("one", metavar="RUN", help="id, prefix, friendly name, @last, @best …")
    parser.add_argument("other", metavar="OTHER", help="the run that it is compared with")
    parser.add_argument("--all", action="store_true", help="what is equal too")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print two runs side by side, differences alone unless all is asked for."""
    queries = Queries.of(Path(options.folder))
    one, other = queries.run(options.one), queries.run(options.other)
    rows = [row for row in compare(one, other) if options.all or row["one"] != row["other"]]
    if options.json:
        print_json({"one": one.id, "other": other.id, "differences": rows})
    elif rows:
        heads = ("", "name", one.name, other.name, "change")
        print_table(heads, [_cells(row) for row in rows])
    else:
        narrate(f"{one.name} and {other.name} have the same params, metrics, code and stages")
    return 0


def compare(one: Run, other: Run) -> list[dict[str, Any]]:
    """A row for each name that either run has: its kind, both values, and a metric's change."""
    rows = []
    for kind in _KINDS:
        left, right = _values(one, kind), _values(other, kind)
        for name in dict.fromkeys((*left, *right)):
            row = {"kind": kind, "name": name, "one": left.get(name), "other": right.get(name)}
            if kind == "metrics" and name in left and name in right:
                row["change"] = right[name] - left[name]
            rows.append(row)
    return rows


def _values(run: Run, kind: str) -> Mapping[str, Any]:
    match kind:
        case "params":
            return run.params
        case "metrics":
            return run.metrics
        case "stages":
            return {name: stage.key for name, stage in run.stages.items()}
        case _:
            return {"commit": run.code.commit, "dirty": run.code.dirty}


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    change = row.get("change")
    return (
        row["kind"],
        row["name"],
        _shown(row["one"]),
        _shown(row["other"]),
        "" if not change else f"{change:+.4g}",
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return "" if value is None else str(value)[:40]
