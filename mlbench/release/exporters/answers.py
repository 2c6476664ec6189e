"""The held-out rows, and what the original model answers on them."""

from __future__ import annotations

import csv
import os
from typing import Any, NamedTuple

from refusal import Refusal, one_line, require

FORMATS_REMEDY = (
    "Write it as an .npz with the rows in X and the truth in y, "
    "or as a .csv with a header and numbers."
)


class Rows(NamedTuple):
    """Held-out rows: X is n x features as stored, y the truth (n) or None where unknown."""

    X: Any
    y: Any


def bad_sample(path: str, problem: str, remedy: str = FORMATS_REMEDY) -> Refusal:
    """A sample that can't be used, by its path."""
    return Refusal("bad_sample", f"The sample {path} {problem}.", remedy)


def read_rows(path: str | None, target: str | None) -> Rows:
    """Read a sample (.npz, or .csv with the truth in column `target`); Refusal bad_sample."""
    if path is None:
        raise Refusal("bad_sample", "The model has no sample.", "Name held-out rows in `sample`.")
    if not os.path.isfile(path):
        raise bad_sample(path, "is not there", "Run the stage that makes it, or correct `sample`.")
    readers = {".npz": _read_npz, ".csv": _read_csv}
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in readers:
        raise bad_sample(path, "is neither .npz nor .csv")
    rows = readers[suffix](path, target)
    if rows.X.ndim != 2 or rows.X.dtype.kind not in "biuf":
        found = f"{rows.X.dtype} of shape {rows.X.shape}"
        raise bad_sample(path, f"has X as {found}, not numbers as rows x features")
    if len(rows.X) == 0:
        raise bad_sample(path, "has no rows", "Hold out at least one row.")
    if rows.y is not None and len(rows.y) != len(rows.X):
        raise bad_sample(path, f"has {len(rows.X)} rows in X but {len(rows.y)} in y")
    return rows


def _read_npz(path: str, target: str | None) -> Rows:  # noqa: ARG001 (a table's alone)
    """X and y of a numpy archive; objects are refused, for they would be unpickled."""
    np = require("numpy")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise bad_sample(path, f"can't be read as .npz: {one_line(error)}") from error
    if "X" not in arrays:
        raise bad_sample(path, f"has no array X, only {', '.join(arrays) or 'nothing'}")
    return Rows(arrays["X"], arrays.get("y"))


def _read_csv(path: str, target: str | None) -> Rows:
    """The columns of a table as float64, the target apart, as numbers where it holds numbers."""
    np = require("numpy")
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        lines = [(reader.line_num, row) for row in reader if row]
    if target is not None and target not in header:
        raise bad_sample(path, f"has no column {target}", "Correct `target`, or the header.")
    X = np.empty((len(lines), len(header) - (target is not None)))
    labels = []
    for index, (line, row) in enumerate(lines):
        if len(row) != len(header):
            raise bad_sample(path, f"has {len(row)} values in line {line}, not {len(header)}")
        if target is not None:
            labels.append(row.pop(header.index(target)))
        try:
            X[index] = [float(value) for value in row]
        except ValueError as error:
            raise bad_sample(path, f"has no number in line {line}: {one_line(error)}") from error
    return Rows(X, None if target is None else _labels(np, labels))


def _labels(np: Any, texts: list[str]) -> Any:
    """Labels as integers, else floats, else as they are written."""
    for kind in (int, float):
        try:
            return np.array([kind(text) for text in texts])
        except ValueError:
            continue
    return np.array(texts)


def original_answers(model: Any, rows: Rows, *, is_classifier: bool) -> dict[str, Any]:
    """The original's answers on every row, named as in answers.npz.

    `X` float32 (n x features); `scores` float64: predict_proba (n x classes) or, for a regressor,
    its predictions (n x targets); `label` (n) for a classifier; `classes`, empty for a regressor;
    `y` where known. Rows stored as float64 are also answered unrounded, as `label_raw` and
    `scores_raw`, for a tree may branch differently on the float32 that a server gets.
    """
    np = require("numpy")
    X = rows.X.astype(np.float32)
    answers = {"X": X, "classes": _plain(np, model.classes_ if is_classifier else [])}
    if rows.y is not None:
        answers["y"] = _plain(np, rows.y)
    asked = {"": X}
    if rows.X.dtype == np.float64:
        asked["_raw"] = rows.X
    for suffix, inputs in asked.items():
        label = model.predict(inputs)
        if is_classifier:
            answers[f"label{suffix}"] = _plain(np, label)
        scores = np.asarray(model.predict_proba(inputs) if is_classifier else label)
        answers[f"scores{suffix}"] = scores.astype(np.float64).reshape(len(inputs), -1)
    return answers


def _plain(np: Any, values: Any) -> Any:
    """An array that .npz can hold without pickling: objects become text."""
    array = np.asarray(values)
    return array.astype(str) if array.dtype == object else array
