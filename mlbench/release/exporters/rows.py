"""The held-out rows: read from .npz, .csv or .parquet, as the model was trained on them."""

from __future__ import annotations

import csv
import os
from typing import Any

from framework import Rows
from refusal import Refusal, missing_package, one_line, require

FORMATS_REMEDY = (
    "Write it as an .npz with the rows in X and the truth in y, "
    "or as a .csv with a header or a .parquet, and name the column of the truth in `target`."
)
_MISSING = frozenset({"", "NA", "N/A", "null", "None"})  # beside those that float() reads


def bad_sample(path: str, problem: str, remedy: str = FORMATS_REMEDY) -> Refusal:
    """A sample that can't be used, by its path."""
    return Refusal("bad_sample", f"The sample {path} {problem}.", remedy)


def read_rows(path: str | None, target: str | None, columns: list[str] | None) -> Rows:
    """Read a sample; Refusal bad_sample.

    `columns` are those that the model was trained on by name: X is then a DataFrame of them, in
    their order. Else X is an array, n x features or with more dimensions.
    """
    if path is None:
        raise Refusal("bad_sample", "The model has no sample.", "Name held-out rows in `sample`.")
    if not os.path.isfile(path):
        raise bad_sample(path, "is not there", "Run the stage that makes it, or correct `sample`.")
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".npz", ".csv", ".parquet"):
        raise bad_sample(path, "is neither .npz nor .csv nor .parquet")
    if suffix == ".npz":
        rows = _framed(path, _read_npz(path), columns)
    elif columns is None and suffix == ".csv":
        rows = _read_numbers(path, target)
    else:
        rows = _read_table(path, suffix, target, columns)
    if len(rows.X) == 0:
        raise bad_sample(path, "has no rows", "Hold out at least one row.")
    if rows.y is not None and len(rows.y) != len(rows.X):
        raise bad_sample(path, f"has {len(rows.X)} rows in X but {len(rows.y)} in y")
    return rows


def _read_npz(path: str) -> Rows:
    """X and y of a numpy archive; objects are refused, for they would be unpickled."""
    np = require("numpy")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise bad_sample(path, f"can't be read as .npz: {one_line(error)}") from error
    if "X" not in arrays:
        raise bad_sample(path, f"has no array X, only {', '.join(arrays) or 'nothing'}")
    X = arrays["X"]
    if X.ndim < 2 or X.dtype.kind not in "biuf":
        raise bad_sample(
            path, f"has X as {X.dtype} of shape {X.shape}, not numbers as rows x features"
        )
    return Rows(X, arrays.get("y"))


def _framed(path: str, rows: Rows, columns: list[str] | None) -> Rows:
    """An array's rows as the table that the model knows: its columns, in its order."""
    if columns is None or rows.X.ndim != 2:
        return rows
    if rows.X.shape[1] != len(columns):
        raise wrong_width(path, rows.X.shape[1], len(columns))
    return Rows(require("pandas").DataFrame(rows.X, columns=columns), rows.y)


def wrong_width(path: str, found: int, expected: int) -> Refusal:
    """Rows with more or fewer columns than the model was trained on."""
    return bad_sample(
        path,
        f"has {found} columns, but the model was trained on {expected}",
        "Hold out rows of the table that the model is trained on.",
    )


def _read_numbers(path: str, target: str | None) -> Rows:
    """The columns of a .csv as float64, the target apart; an empty cell is NaN."""
    np = require("numpy")
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        lines = [(reader.line_num, row) for row in reader if row]
    _check_target(path, target, header)
    X = np.empty((len(lines), len(header) - (target is not None)))
    labels = []
    for index, (line, row) in enumerate(lines):
        if len(row) != len(header):
            raise bad_sample(path, f"has {len(row)} values in line {line}, not {len(header)}")
        if target is not None:
            labels.append(row.pop(header.index(target)))
        try:
            X[index] = [float("nan" if value in _MISSING else value) for value in row]
        except ValueError as error:
            raise bad_sample(
                path,
                f"has no number in line {line}: {one_line(error)}",
                "Train on a DataFrame, so that the model knows its columns by name.",
            ) from error
    return Rows(X, None if target is None else _labels(np, labels))


def _check_target(path: str, target: str | None, header: list[str]) -> None:
    """Refuse a table without the column of the truth."""
    if target is not None and target not in header:
        raise bad_sample(path, f"has no column {target}", "Correct `target`, or the header.")


def _labels(np: Any, texts: list[str]) -> Any:
    """Labels as integers, else floats, else as they are written."""
    for kind in (int, float):
        try:
            return np.array([kind(text) for text in texts])
        except ValueError:
            continue
    return np.array(texts)


def _read_table(path: str, suffix: str, target: str | None, columns: list[str] | None) -> Rows:
    """A table as pandas reads it, for that is how a model with named columns was trained."""
    pandas = require("pandas")
    try:
        frame = pandas.read_csv(path) if suffix == ".csv" else pandas.read_parquet(path)
    except ImportError as error:  # pandas reads Parquet by another package
        raise missing_package(error, wanted="pyarrow") from error
    except Exception as error:  # pandas, pyarrow and the codec each have their own
        raise bad_sample(path, f"can't be read as a table: {one_line(error)}") from error
    header = [str(name) for name in frame.columns]
    frame.columns = header
    _check_target(path, target, header)
    if frame.columns.duplicated().any():
        twice = header[int(frame.columns.duplicated().argmax())]
        raise bad_sample(path, f"has two columns {twice}", "Give each column a name of its own.")
    y = None if target is None else _truth(path, frame[target])
    X = frame.drop(columns=[target] if target is not None else [])
    if columns is not None:
        X = X.rename(columns=_as_lightgbm_spells(header, columns))
        absent = [name for name in columns if name not in X.columns]
        if absent:
            raise bad_sample(
                path,
                f"has no column {', '.join(absent)}, which the model was trained on",
                "Hold out rows of the table that the model is trained on.",
            )
        X = X[columns]
    for name in X.columns:
        _check_kind(path, X[name], name)
    return Rows(X if columns is not None else _numbers(path, X), y)


def _as_lightgbm_spells(header: list[str], columns: list[str]) -> dict[str, str]:
    """New names for columns that the model knows with _ for each space, as LightGBM keeps them."""
    spelled = {name: name.replace(" ", "_") for name in header if name not in columns}
    return {name: new for name, new in spelled.items() if new in columns and new not in header}


def _truth(path: str, column: Any) -> Any:
    """The truth as an array that .npz can hold; rows without it are refused."""
    if column.isna().any():
        row = int(column.isna().to_numpy().argmax())
        raise bad_sample(
            path, f"has no truth in row {row} of {column.name}", "Leave out rows without a truth."
        )
    values = column.to_numpy()
    return values.astype(str) if values.dtype.kind not in "biuf" else values


def _check_kind(path: str, column: Any, name: str) -> None:
    """Refuse what no served tensor holds: dates, durations, complex numbers, lists."""
    remedy = "Train on what it means as numbers or text: days since a date, a name, a code."
    if kind_of(column) is None:
        raise bad_sample(path, f"has {column.dtype} in column {name}", remedy)
    if kind_of(column) == "integer" and column.isna().any():
        raise bad_sample(
            path,
            f"misses values in column {name} of {column.dtype}, which a tensor of integers can't",
            "Train on that column as float64.",
        )
    if kind_of(column) == "text":
        texts = column.dropna()
        odd = texts[[not isinstance(value, str) for value in texts]]
        if len(odd):
            found = type(odd.iloc[0]).__name__
            raise bad_sample(path, f"has a {found} among the texts of column {name}", remedy)


def kind_of(column: Any) -> str | None:
    """What a DataFrame's column is for a server: number, integer or text; None for the rest."""
    kind = getattr(column.dtype, "kind", "")
    if str(column.dtype) == "category":
        return kind_of(column.cat.categories.to_series())
    if str(column.dtype) in ("str", "string") or kind == "O":
        return "text"
    return {"f": "number", "i": "integer", "u": "integer", "b": "integer"}.get(kind)


def _numbers(path: str, frame: Any) -> Any:
    """A table as an array, for a model that was trained on one."""
    texts = [name for name in frame.columns if kind_of(frame[name]) == "text"]
    if texts:
        raise bad_sample(
            path,
            f"has text in column {texts[0]}, but the model doesn't know its columns by name",
            "Train on a DataFrame, so that the model knows its columns by name.",
        )
    return frame.to_numpy(dtype="float64")
