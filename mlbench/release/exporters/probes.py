"""Rows made from held-out ones to find faults: with missing values, with unseen categories."""

from __future__ import annotations

from typing import Any

from framework import Probe, is_frame
from refusal import require
from rows import kind_of

BASE_ROWS = 8
UNSEEN_WORD = "a word that training never saw"
_MOST_COLUMNS = 200


def missing(X: Any) -> Probe:
    """A few served rows with NaN (a missing text in columns of text) in each column, and in all.

    Of more than 200 columns, 200 are taken, evenly spread.
    """
    if is_frame(X):
        return _missing_in_frame(X)
    if X.ndim != 2 or X.dtype.kind != "f":
        return Probe(None, "the rows are not a table of floating-point numbers")
    np = require("numpy")
    columns = _spread(X.shape[1])
    made = np.repeat(X[None], len(columns) + 1, axis=0)
    for index, column in enumerate(columns):
        made[index, :, column] = np.nan
    made[-1] = np.nan
    return Probe(made.reshape(-1, X.shape[1]))


def _missing_in_frame(X: Any) -> Probe:
    """The same for a table; columns of integers can't miss a value when served."""
    pandas = require("pandas")
    names = [name for name in X.columns if kind_of(X[name]) != "integer"]
    names = [names[index] for index in _spread(len(names))]
    if not names:
        return Probe(None, "a column of integers can't miss a value")
    made = []
    for emptied in ([name] for name in names):
        made.append(_emptied(X, emptied))
    made.append(_emptied(X, names))
    left_out = len(names) < len(X.columns)
    why = "columns of integers are left out: they can't miss a value" if left_out else ""
    return Probe(pandas.concat(made, ignore_index=True), why)


def _emptied(X: Any, names: list[str]) -> Any:
    """A copy with these columns missing, each of its own type."""
    copy = X.copy()
    for name in names:
        copy[name] = copy[name].mask(copy[name].index == copy[name].index)
    return copy


def _spread(count: int) -> list[int]:
    """At most 200 of `count` columns, evenly spread."""
    if count <= _MOST_COLUMNS:
        return list(range(count))
    return [index * count // _MOST_COLUMNS for index in range(_MOST_COLUMNS)]


def unseen(X: Any, held_out: Any) -> Probe:
    """A few served rows with a word, or a code, that training never saw, in each such column.

    A code is new to the held-out rows at least.
    """
    if not is_frame(X):
        return Probe(None, "there are no columns of text or codes")
    made = []
    for name in X.columns:
        kind = kind_of(X[name])
        if kind == "number":
            continue
        copy = X.copy()
        if kind == "text":
            copy[name] = _filled(X[name], UNSEEN_WORD)
        else:
            copy[name] = _new_code(held_out[name])
        made.append(copy)
    if not made:
        return Probe(None, "there are no columns of text or codes")
    return Probe(require("pandas").concat(made, ignore_index=True))


def _filled(column: Any, word: str) -> Any:
    """A column of one word, of the column's own type; a category's set is open for it."""
    kind = object if str(column.dtype) == "category" else column.dtype
    return require("pandas").Series([word] * len(column), index=column.index, dtype=kind)


def _new_code(column: Any) -> Any:
    """An integer that the held-out rows don't have, of the column's own type."""
    if column.dtype.kind == "b":
        return True
    largest = min(require("numpy").iinfo(column.to_numpy().dtype).max, 2**24)
    return min(int(column.max()) + 1, int(largest))
