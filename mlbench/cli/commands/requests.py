"""`mlbench requests`: what an environment was asked, and what it answered."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlbench.cli.output import narrate, print_json, print_table
from mlbench.domain.errors import UsageError
from mlbench.domain.plain import to_plain
from mlbench.domain.serving import LoggedRequest
from mlbench.engine.queries import Queries
from mlbench.engine.request_queries import prediction_of, requests_of, write_requests

_SHOWN = 20
_HEADS = ("time", "id", "version", "status", "ms", "prediction", "label", "error")
_MOST_VALUES = 4
_LONGEST_ERROR = 80


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument("environment", metavar="ENV", help="whose requests")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="those for this model alone")
    parser.add_argument(
        "--last", type=int, metavar="N", help=f"so many (default {_SHOWN}; all into a file)"
    )
    parser.add_argument(
        "--where", metavar="EXPR", help='such as "status >= 400" or "prediction != label"'
    )
    parser.add_argument("--id", metavar="ID", help="those with this id, with inputs and outputs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document, with inputs")
    form.add_argument("--csv", metavar="FILE", help="a CSV file; - for standard output")
    form.add_argument("--parquet", metavar="FILE", help="a Parquet file")


def run(options: argparse.Namespace) -> int:
    """Print logged requests, newest first, or write them into a file."""
    if options.last is not None and options.last < 0:
        raise UsageError("--last: must be 0 or more")
    queries = Queries.of(Path(options.folder))
    to_file = options.csv or options.parquet
    last = options.last if options.last is not None or to_file else _SHOWN
    found = requests_of(
        queries,
        options.environment,
        options.model,
        last=last,
        where=options.where,
        id_=options.id,
    )
    if options.json:
        print_json([to_plain(request) for request in found])
    elif to_file:
        form = "csv" if options.csv else "parquet"
        target = None if to_file == "-" else Path(to_file)
        lines = write_requests(queries, found, target, form)
        if target is not None:
            narrate(f"{len(found)} requests, {lines} rows in {target}")
    elif not found:
        narrate(_nothing(options))
    elif options.id is not None:
        for request in found:
            _print_whole(request)
    else:
        print_table(_HEADS, map(_cells, found))
    return 0


def _nothing(options: argparse.Namespace) -> str:
    if options.where or options.id or options.model:
        return "no request in the log is so"
    return f"{options.environment} has logged no request yet; `mlbench predict` makes one"


def _cells(request: LoggedRequest) -> Sequence[str]:
    return (
        request.at.replace("T", " ").rstrip("Z"),
        request.id,
        f"{request.model} v{request.version}",
        str(request.status),
        f"{request.seconds * 1000:.2f}",
        _words(prediction_of(request)),
        _words(request.label),
        request.error[:_LONGEST_ERROR],
    )


def _words(value: Any) -> str:
    """One value, or the first of several."""
    if isinstance(value, list):
        more = f" … {len(value)} in all" if len(value) > _MOST_VALUES else ""
        return ", ".join(map(_words, value[:_MOST_VALUES])) + more
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def _print_whole(request: LoggedRequest) -> None:
    for name, value in zip(_HEADS, _cells(request), strict=True):
        if value:
            print(f"{name:<10}  {value}")
    if request.missing:
        print(f"{'inputs':<10}  {request.missing}")
    for name, items in (("inputs", request.inputs or ()), ("outputs", request.outputs or ())):
        _print_items(name, items)


def _print_items(name: str, items: Sequence[Any]) -> None:
    """Tensors or records, one a line."""
    for item in items:
        if "datatype" in item:
            shape = "×".join(map(str, item["shape"]))
            print(f"{name:<10}  {item['name']} {item['datatype']} {shape}: {_words(item['data'])}")
        else:
            print(f"{name:<10}  {', '.join(f'{key} {_words(item[key])}' for key in item)}")
