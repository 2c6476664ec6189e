"""`mlbench runs`: the history."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from mlbench.cli.output import coloured, narrate, print_json
from mlbench.cli.runs_table import chosen_columns, columns_for, fitting, table_lines
from mlbench.domain.errors import MlbenchError, UsageError
from mlbench.domain.expression import names_in, parse
from mlbench.engine.exporting import History, as_plain, columns_of, print_csv, write_runs
from mlbench.engine.queries import Queries

# What the first cells of a line say, or the last.
_SHOWN = frozenset(
    "name started seconds outcome commit dirty age star baseline archived origin".split()
)

__all__ = ["as_plain", "configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Name the arguments."""
    parser.add_argument(
        "--where", metavar="EXPR", help="such as \"accuracy > 0.9 and started > '2026-11-01'\""
    )
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--sort", metavar="KEY", help="a field, metric or param; -KEY descends")
    order.add_argument(
        "--best",
        nargs="?",
        const="",
        metavar="OBJECTIVE",
        help='the best that passed, by the project\'s objective or by one such as "minimize loss"',
    )
    order.add_argument("--last", action="store_true", help="the last that passed")
    parser.add_argument("--limit", type=int, metavar="N", help="so many at most")
    parser.add_argument(
        "--all",
        action="store_true",
        help="the watch's failures too, the trials of studies, and what is archived",
    )
    parser.add_argument(
        "--study", metavar="STUDY", help="the trials of a study: its id, a prefix, or its sweep"
    )
    parser.add_argument("--columns", metavar="KEY,…", help="show these, in this order")
    parser.add_argument(
        "--only-differences", action="store_true", help="leave out what is the same for all"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--csv", metavar="FILE", help="a CSV file; - for standard output")
    form.add_argument("--parquet", metavar="FILE", help="a Parquet file")


def run(options: argparse.Namespace) -> int:
    """Print recorded runs, newest first."""
    queries = Queries.of(Path(options.folder))
    runs = _asked_for(queries, options)
    for notice in queries.store().notices:
        narrate(notice)
    if options.json:
        print_json([as_plain(run) for run in runs])
    elif options.csv == "-":
        print_csv(runs, _columns(runs, options))
    elif options.csv or options.parquet:
        target, form = options.csv or options.parquet, "csv" if options.csv else "parquet"
        write_runs(runs, Path(target), form, _columns(runs, options))
        narrate(f"{len(runs)} runs in {target}")
    elif runs:
        _print(runs, queries, options)
    elif options.limit == 0:
        pass
    else:
        narrate(_why_none(queries, options))
    return 0


def _why_none(queries: Queries, options: argparse.Namespace) -> str:
    """What may bring runs where none was found."""
    if not queries.runs(everything=True, limit=1):
        return "no runs yet; `mlbench run` makes the first"
    if options.study is not None and options.where is None:
        return f"no trial of {options.study} is recorded yet; `mlbench sweep` says how it stands"
    if options.all:
        return "no run is so"
    return "no run is so; --all looks at the watch's failures, trials and the archive, too"


def _asked_for(queries: Queries, options: argparse.Namespace) -> History:
    limit = options.limit
    if limit is not None and limit < 0:
        raise UsageError("--limit: must be 0 or more")
    if limit is None and (options.last or options.best is not None):
        limit = 1
    return queries.runs(
        where=options.where,
        sort=options.sort,
        limit=limit,
        everything=options.all,
        best=options.best,
        last=options.last,
        study=_study(queries, options.study) if options.study is not None else "",
    )


def _study(queries: Queries, word: str) -> str:
    """The id of a study that was named."""
    # Late: it brings what makes a plan.
    from mlbench.engine.sweeping.queries import find_study

    return find_study(queries.layout, word).id


def _columns(runs: History, options: argparse.Namespace) -> list[str] | None:
    """The columns that were asked for; None for all."""
    if options.columns is None:
        return columns_of(runs, only_differences=True) if options.only_differences else None
    names = [name.strip() for name in options.columns.split(",") if name.strip()]
    if not names:
        raise UsageError("--columns: name one or more, such as name,accuracy")
    rows = list(runs.values(*names))
    for place, name in enumerate(names):
        if rows and all(row[place] is None for row in rows):
            raise UsageError(f"--columns: no run has {name}")
    return names


def _print(runs: History, queries: Queries, options: argparse.Namespace) -> None:
    names = _columns(runs, options) if options.columns is not None else None
    if names is not None:
        columns = chosen_columns(names, runs.values(*names))
    else:
        columns = columns_for(
            runs,
            time.time(),
            _asked_columns(runs, options),
            _objective(queries),
            only_differences=options.only_differences,
        )
    # A file or another program gets every column.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    shown = fitting(columns, width)

    def paint(row: int, text: str) -> str:
        outcome = runs[row].outcome
        return coloured(text, outcome.colour if outcome else "info")

    heads, *lines = table_lines(shown, paint if names is None else lambda _, text: text)
    print(coloured(heads, "quiet"))
    print("\n".join(lines))
    left_out = len(columns) - len(shown)
    if left_out:
        narrate(f"{left_out} more columns don't fit; --columns chooses, --csv has them all")


def _asked_columns(runs: History, options: argparse.Namespace) -> dict[str, list[Any]]:
    """What the runs were sorted and filtered by, as far as the table doesn't show it anyway."""
    names = [options.sort.removeprefix("-")] if options.sort else []
    names += sorted(names_in(parse(options.where))) if options.where else []
    shown = [
        name
        for name in names
        if name.removeprefix("run.") not in _SHOWN and not name.startswith("tags.")
    ]
    return {name: [value for (value,) in runs.values(name)] for name in dict.fromkeys(shown)}


def _objective(queries: Queries) -> str | None:
    """The metric that matters most, where the configuration says so."""
    try:
        return (queries.project().objective or "").rpartition(" ")[2] or None
    except MlbenchError:
        return None
