"""`mlbench models`: versions and candidates with gates and parity, or everything about one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlbench.cli.model_page import page
from mlbench.cli.output import coloured, narrate, print_json, print_table
from mlbench.domain.names import friendly_name
from mlbench.domain.phrases import number, size
from mlbench.domain.plain import to_plain
from mlbench.engine.model_pages import damage_of, damaged_versions, files_of, find_row, rows_of
from mlbench.engine.queries import ModelRow, Queries

_HEADS = ("model", "version", "run", "gates", "parity", "size", "p99", "live in", "digest")
Damages = Mapping[str, Mapping[int, str]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument(
        "model", nargs="?", metavar="MODEL[@VERSION or @RUN]", help="of this model, or this version"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print what could be, is and was live."""
    queries = Queries.of(Path(options.folder))
    if options.model and "@" in options.model:
        return _show(queries, find_row(queries, options.model), as_json=options.json)
    rows = rows_of(queries, options.model) if options.model else queries.models()
    damages = damaged_versions(queries)
    if options.json:
        print_json([as_plain(row) | {"damage": _damage(row, damages)} for row in rows])
        return 0
    if rows:
        print_table(_HEADS, [_cells(row) for row in rows])
    elif not damages:
        narrate("no model yet; a run that passes its gates makes a candidate (`mlbench run`)")
    for model, numbers in damages.items():
        for version, damage in numbers.items():
            if options.model in (None, model):
                told = f"{model} v{version} is damaged: {damage}; bring it back from a backup"
                narrate(coloured(told, "fail"))
    return 0


def as_plain(row: ModelRow) -> dict[str, Any]:
    """A version or candidate as `models --json` gives it; a candidate's version is null."""
    item = row.candidate
    return {
        "model": item.model,
        "version": item.version,
        "run": item.run,
        "digest": item.digest,
        "graph_digest": item.graph_digest or None,
        "format": item.format,
        "created": item.created,
        "environments": list(row.environments),
        "beside": {name: list(roles) for name, roles in row.beside.items()},
        "gates": to_plain(item.gates),
        "parity": to_plain(item.parity),
        "latency": to_plain(item.latency),
        "bytes": item.size,
        "metrics": to_plain(item.metrics),
        "facts": to_plain(item.facts),
        "path": str(row.path),
    }


def _show(queries: Queries, row: ModelRow, *, as_json: bool) -> int:
    """Everything about one candidate or version."""
    item = row.candidate
    damage = damage_of(queries, item)
    files = files_of(queries, item)
    if as_json:
        more = {"signature": to_plain(item.signature), "files": files, "damage": damage or None}
        print_json(as_plain(row) | more)
        return 0
    for line in page(row, files):
        print(line)
    if damage:
        anew = f"`mlbench export {friendly_name(item.run)}` makes it anew"
        again = "bring it back from a backup" if item.version else anew
        narrate(coloured(f"it is damaged: {damage}; {again}", "fail"))
    return 0


def _damage(row: ModelRow, damages: Damages) -> str | None:
    return damages.get(row.candidate.model, {}).get(row.candidate.version or 0)


def _cells(row: ModelRow) -> tuple[str, ...]:
    item = row.candidate
    judged = [gate for gate in item.gates if gate.passed is not None]
    held = sum(1 for gate in judged if gate.passed)
    sign = "✗" if any(gate.refuses for gate in judged) else "✓"
    parity = item.parity
    shown = ""
    if parity is not None:
        error = f"{'✓' if parity.passed else '✗'} {number(parity.max_abs_error)}"
        shown = error if parity.has_original else "no original"
    p99 = item.latency.get("p99_ms")
    return (
        item.model,
        f"v{item.version}" if item.version else "candidate",
        friendly_name(item.run),
        f"{sign} {held} of {len(judged)}" if judged else "none",
        shown or item.format,
        size(item.size),
        f"{p99:.2f} ms" if p99 is not None else "",
        ", ".join(row.places),
        item.digest.removeprefix("tree:")[:12],
    )
