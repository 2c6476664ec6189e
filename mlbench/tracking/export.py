"""Runs as rows for other programs: JSON, CSV and Parquet."""

from __future__ import annotations

import contextlib
import csv
import importlib
import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from mlbench.domain.errors import UsageError
from mlbench.domain.plain import finite, to_plain
from mlbench.domain.runs import Extremes, Run
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
        _pyarrow()
    try:
        with _replacing(target) as file:
            write(runs, file, columns)
    except OSError as error:
        raise UsageError(f"{target}: can't be written ({error.strerror or error})") from None


def print_csv(runs: History, columns: Sequence[str] | None = None) -> None:
    """Write runs to standard output as CSV."""
    _write_lines(runs, sys.stdout, columns)


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
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    _write_lines(runs, text, columns)
    text.flush()
    text.detach()


def _write_lines(runs: History, file: IO[str], columns: Sequence[str] | None) -> None:
    names, rows = _rows(runs, columns)
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow(map(_csv_cell, row))


def _csv_cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _write_parquet(runs: History, file: IO[bytes], columns: Sequence[str] | None) -> None:
    arrow, parquet = _pyarrow()
    names, rows = _rows(runs, columns)
    values = list(zip(*rows, strict=True)) or [() for _ in names]
    table = {name: _array(arrow, list(column)) for name, column in zip(names, values, strict=True)}
    if "tags" in table and arrow.types.is_list(table["tags"].type):
        # Also where no run has one: files of several exports go together only if their types do.
        table["tags"] = table["tags"].cast(arrow.list_(arrow.string()))
    parquet.write_table(arrow.table(table), file)


def _array(arrow: Any, values: list[Any]) -> Any:
    """One column; as text where its values are of several kinds."""
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError):
        return arrow.array([None if value is None else str(value) for value in values])


def _pyarrow() -> tuple[Any, Any]:
    # Late and optional: only who asks for Parquet needs it.
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "Parquet is written by pyarrow, which is not installed; "
            f'{sys.executable} -m pip install "mlbench[parquet]"'
        )
    return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of another when it has been written whole."""
    path = Path(os.path.realpath(target))
    if path.exists() and not path.is_file():
        # A device or a pipe is written into: in its place would stand a file.
        with path.open("wb") as file:
            yield file
        return
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with beside.open("xb") as file:
            yield file
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


Write = Callable[[History, IO[bytes], Sequence[str] | None], None]
_FORMS: Mapping[str, Write] = {
    "json": _write_json,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
