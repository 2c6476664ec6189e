"""Tables written for other programs, CSV and Parquet: all of a file, or nothing of it."""

from __future__ import annotations

import contextlib
import csv
import importlib
import importlib.util
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from mlbench.domain.errors import UsageError

Rows = Iterable[Sequence[Any]]


def write_csv(file: IO[bytes], names: Sequence[str], rows: Rows) -> None:
    """Write a table as CSV in UTF-8; a list in a cell is written as JSON."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    write_csv_text(text, names, rows)
    text.flush()
    text.detach()


def write_csv_text(file: IO[str], names: Sequence[str], rows: Rows) -> None:
    """As `write_csv`, into a text file such as standard output."""
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow(map(_csv_cell, row))


def write_parquet(
    file: IO[bytes], names: Sequence[str], rows: Rows, text_lists: Sequence[str] = ()
) -> None:
    """Write a table as Parquet, a column as text where its values are of several kinds.

    Lists in the columns `text_lists` are of texts, also where no row has one: files of several
    exports go together only if their types do. UsageError where pyarrow is not installed.
    """
    arrow, parquet = pyarrow()
    values = list(zip(*rows, strict=True)) or [() for _ in names]
    table = {name: _array(arrow, list(column)) for name, column in zip(names, values, strict=True)}
    for name in text_lists:
        if name in table and arrow.types.is_list(table[name].type):
            table[name] = table[name].cast(arrow.list_(arrow.string()))
    parquet.write_table(arrow.table(table), file)


def write_table(target: Path, form: str, names: Sequence[str], rows: Rows) -> None:
    """Write a table into a file as "csv" or "parquet", all of it or nothing.

    UsageError where the file can't be written, or what writes it isn't installed.
    """
    if form == "parquet":
        pyarrow()
    with replacing(target) as file:
        _FORMS[form](file, names, rows)


def pyarrow() -> tuple[Any, Any]:
    """The package and its module for Parquet; UsageError where they are not installed."""
    # Late and optional: only who asks for Parquet needs it.
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "Parquet is written by pyarrow, which is not installed; "
            f'{sys.executable} -m pip install "mlbench[parquet]"'
        )
    return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of another when it has been written whole.

    UsageError where it can't be written.
    """
    try:
        with _replacing(Path(os.path.realpath(target))) as file:
            yield file
    except OSError as error:
        raise UsageError(f"{target}: can't be written ({error.strerror or error})") from None


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
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


def _csv_cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _array(arrow: Any, values: list[Any]) -> Any:
    """One column; as text where its values are of several kinds."""
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError):
        return arrow.array([None if value is None else str(value) for value in values])


_FORMS: Mapping[str, Any] = {"csv": write_csv, "parquet": write_parquet}
