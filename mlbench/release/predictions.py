"""The table of predictions that a stage writes: read from CSV or Parquet.

Columns: `truth`; `prediction`, or `score_<class>` for each class, of which the highest is
predicted; every other column is one to slice by. Where such a column says nothing, the row is of
the slice "missing".
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.domain.errors import UsageError
from mlbench.domain.slices import label_text
from mlbench.release.measures import Values
from mlbench.release.slices import Predictions, Texts

TRUTH, PREDICTION, SCORE = "truth", "prediction", "score_"
MISSING = "missing"
# "NA" and "None" may be Namibia and a class: no writer of tables means nothing by them.
_NOTHING = frozenset(("", "NaN", "nan"))
_TRUTHS = {"False": "0", "True": "1"}
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
# What a column holds, as text, and the place of a row in words.
_Columns = dict[str, list[str]]
_Place = Callable[[int], str]


def read_predictions(path: Path, shown: str, form: str = "") -> Predictions:
    """The table in a file; `shown` is the path that a user knows, which also tells the format.

    `form` is the ending that tells it where the file itself has none. UsageError with the file, and
    with column and line as far as known, where it can't be read as such a table.
    """
    form = form or Path(shown).suffix.lower()
    if form not in _READERS:
        raise UsageError(f"{shown}: predictions are a .csv or .parquet file; write one of these")
    try:
        columns, place = _READERS[form](path, shown)
    except OSError as error:
        raise UsageError(f"{shown}: can't be read: {error.strerror or error}") from None
    return _table(columns, place)


def _table(columns: _Columns, place: _Place) -> Predictions:
    scored = tuple(name for name in columns if name.startswith(SCORE) and name != SCORE)
    for name in (TRUTH, *((PREDICTION,) if len(scored) < 2 else ())):
        if name not in columns:
            known = ", ".join(columns)
            raise UsageError(
                f"{place(-1)}: has no column {name}; predictions need truth, and prediction or "
                f"score_<class> for each class (it has: {known})"
            )
    if not columns[TRUTH]:
        raise UsageError(f"{place(-1)}: has no rows; write one for each row that was predicted")
    classes = tuple(_canonical([name.removeprefix(SCORE) for name in scored]).tolist())
    scores = np.stack([_numbers(columns, name, place) for name in scored], 1) if scored else None
    if scores is not None and PREDICTION not in columns:
        predicted: Texts = np.array(classes)[np.argmax(scores, axis=1)]
    else:
        predicted = _labels(columns, PREDICTION, place)
    sliced = {
        name: _slices(texts)
        for name, texts in columns.items()
        if name not in (TRUTH, PREDICTION, *scored)
    }
    truth = _labels(columns, TRUTH, place)
    return Predictions(
        _as_numbers(truth, predicted), _as_numbers(predicted, truth), sliced, scores, classes
    )


def _labels(columns: _Columns, name: str, place: _Place) -> Texts:
    """Classes or numbers, none of them missing."""
    texts = columns[name]
    for row, text in enumerate(texts):
        if text in _NOTHING:
            raise UsageError(f"{place(row)}: column {name} is empty; every row needs its {name}")
    return _canonical(texts)


def _as_numbers(labels: Texts, others: Texts) -> Texts:
    """Labels with False and True as 0 and 1, where the others are these: they are equal."""
    if set(labels.tolist()) <= _TRUTHS.keys() and set(others.tolist()) <= {*_TRUTHS.values()}:
        return np.array([_TRUTHS[label] for label in labels.tolist()], dtype=np.str_)
    return labels


def _slices(texts: Sequence[str]) -> Texts:
    return _canonical([MISSING if text in _NOTHING else text for text in texts], but=MISSING)


def _numbers(columns: _Columns, name: str, place: _Place) -> Values:
    numbers = []
    for row, text in enumerate(columns[name]):
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise UsageError(f'{place(row)}: column {name} is "{text}"; a score is a number')
        numbers.append(number)
    return np.array(numbers)


def _canonical(texts: Sequence[str], but: str = "") -> Texts:
    """Texts, where all are numbers with 1 and 1.0 written alike."""
    # By a table of what there is: sorting so many texts would take ten times as long.
    try:
        alike = {text: text if text == but else _number_text(text) for text in set(texts)}
    except ValueError:
        return np.array(texts, dtype=np.str_)
    return np.array([alike[text] for text in texts], dtype=np.str_)


def _number_text(text: str) -> str:
    """A number as every writer of it would have it; ValueError where it is none."""
    # Whole numbers by themselves: a float would make neighbours of large ones the same class.
    return str(int(text)) if _WHOLE.fullmatch(text) else label_text(float(text))


def _read_csv(path: Path, shown: str) -> tuple[_Columns, _Place]:
    lines: list[int] = []
    rows: list[list[str]] = []
    # A byte that is no UTF-8 belongs to one value, and is no reason to refuse the others.
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            for row in reader:
                if row:
                    _check_width(row, header, f"{shown}:{reader.line_num}")
                    rows.append(row)
                    lines.append(reader.line_num)
        except csv.Error as error:
            raise UsageError(f"{shown}:{reader.line_num}: is no CSV: {error}") from None
    _check_header(header, shown)
    values: Sequence[Sequence[str]] = list(zip(*rows, strict=True)) or [()] * len(header)
    columns = {
        name: [text.strip() for text in texts] for name, texts in zip(header, values, strict=True)
    }
    return columns, lambda row: f"{shown}:{lines[row]}" if row >= 0 else shown


def _check_width(row: Sequence[str], header: Sequence[str], where: str) -> None:
    if len(row) != len(header):
        raise UsageError(f"{where}: has {len(row)} values for {len(header)} columns")


def _check_header(header: Sequence[str], shown: str) -> None:
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f'{shown}: has two columns "{twice}"; name each once')


def _read_parquet(path: Path, shown: str) -> tuple[_Columns, _Place]:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            f"{shown}: reading .parquet needs pyarrow beside mlbench (`pip install "
            '"mlbench[parquet]"`); or write a .csv'
        )
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    try:
        table = parquet.read_table(path)
    except arrow.ArrowException as error:
        raise UsageError(f"{shown}: can't be read as Parquet: {error}") from None
    _check_header(table.column_names, shown)
    columns = {
        name: [_text(value) for value in table.column(name).to_pylist()]
        for name in table.column_names
        if not name.startswith("__index_level_")
    }
    return columns, lambda row: f"{shown}: row {row + 1}" if row >= 0 else shown


def _text(value: Any) -> str:
    if value is None:
        return ""
    return label_text(value)


_READERS: Mapping[str, Callable[[Path, str], tuple[_Columns, _Place]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
