"""Runs as rows for other programs: JSON, CSV and Parquet."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from mlbench.domain.plain import finite, to_plain
from mlbench.domain.runs import Extremes, Run
from mlbench.project.table_files import (
    pyarrow,
    replacing,
    write_csv,
    write_csv_text,
    write_parquet,
)
from mlbench.tracking.history import History

_SECTIONS = ("params", "metrics")
_NOTHING = object()


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
        "params": dict(run.params),
        "metrics": dict(run.metrics),
        "extremes": {name: _plain(extremes) for name, extremes in run.extremes.items()},
        "tags": list(run.marks.tags),
        "note": run.marks.note,
        "star": run.marks.star,
        "baseline": bool(run.marks.baseline_since),
        "archived": run.marks.archived,
        "source": run.source,
        "parent": run.parent,
        **({"study": run.study, "trial": run.trial} if run.study else {}),
    }


def as_row(run: Run) -> dict[str, Any]:
    """A run as one row of a table: `params.x`, `metrics.x`, `metrics.x.min` …, `tags` a list."""
    row = {name: value for name, value in as_plain(run).items() if name not in _SECTIONS}
    extremes = row.pop("extremes")
    row |= {f"params.{name}": value for name, value in run.params.items()}
    row |= {f"metrics.{name}": value for name, value in run.metrics.items()}
    for name, those in extremes.items():
        row |= {f"metrics.{name}.{kind}": value for kind, value in those.items()}
    return row


def write_runs(
    runs: History, target: Path, form: str, columns: Sequence[str] | None = None
) -> None:
    """Write runs into a file as "json", "csv" or "parquet", all of it or nothing.

    `columns` are keys as `--sort` takes them, or by default every column that a run has. UsageError
    where the file can't be written, or what writes it isn't installed.
    """
    write = _FORMS[form]
    if form == "parquet":
        pyarrow()
    with replacing(target) as file:
        write(runs, file, columns)


def print_csv(runs: History, columns: Sequence[str] | None = None) -> None:
    """Write runs to standard output as CSV."""
    write_csv_text(sys.stdout, *_rows(runs, columns))


def columns_of(runs: Sequence[Run], *, only_differences: bool = False) -> list[str]:
    """Every column of these runs: fields, then metrics and parameters by name.

    With `only_differences` those that are not the same for all.
    """
    first: dict[str, Any] = {}
    differing: set[str] = set()
    for place, row in enumerate(map(as_row, runs)):
        for name, value in row.items():
            # A column that earlier runs don't have differs, too; NaN is the same as NaN.
            if repr(first.setdefault(name, value if not place else _NOTHING)) != repr(value):
                differing.add(name)
        differing |= first.keys() - row.keys()
    names = sorted(differing if only_differences else first, key=_place)
    return names if only_differences else [*_fields(first), *(n for n in names if _is_value(n))]


def _is_value(column: str) -> bool:
    return column.startswith(("metrics.", "params."))


def _fields(columns: Iterable[str]) -> list[str]:
    return [name for name in columns if not _is_value(name)]


def _place(column: str) -> tuple[bool, str]:
    return _is_value(column), column


def _rows(runs: History, columns: Sequence[str] | None) -> tuple[list[str], Iterator[list[Any]]]:
    """The titles, and a row for each run."""
    if columns is not None:
        return list(columns), map(list, runs.values(*columns))
    names = columns_of(runs)
    return names, ([row.get(name) for name in names] for row in map(as_row, runs))


def _plain(extremes: Extremes) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(extremes)
    return plain


def _write_json(runs: History, file: IO[bytes], columns: Sequence[str] | None) -> None:
    if columns is None:
        rows = [finite(as_plain(run)) for run in runs]
    else:
        rows = [finite(dict(zip(columns, row, strict=True))) for row in runs.values(*columns)]
    file.write(json.dumps(rows, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))
    file.write(b"\n")


def _write_csv(runs: History, file: IO[bytes], columns: Sequence[str] | None) -> None:
    write_csv(file, *_rows(runs, columns))


def _write_parquet(runs: History, file: IO[bytes], columns: Sequence[str] | None) -> None:
    write_parquet(file, *_rows(runs, columns), text_lists=("tags",))


Write = Callable[[History, IO[bytes], Sequence[str] | None], None]
_FORMS: Mapping[str, Write] = {
    "json": _write_json,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
