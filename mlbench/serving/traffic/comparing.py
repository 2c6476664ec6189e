"""Two versions' answers to one request, side by side: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlbench.domain.records import dataclass

Array = np.ndarray[Any, np.dtype[Any]]

_LABEL = "label"
_PROBABILITIES = "probabilities"


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose predicted label differs: `before` is the first version's, `after` the other's."""

    row: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two answers of so many rows differ.

    Errors are over all scores; a relative one is by the largest score of its row in the first
    answer, at any rate by float32's smallest. Both are infinite where only one of two scores is
    finite; NaN agrees with NaN. `worst_row` is the row of the largest absolute error, -1 where
    there is none. `missing` are outputs that the other version does not give in the same shape.
    """

    rows: int
    flips: tuple[Flip, ...] = ()
    max_abs_error: float = 0.0
    max_rel_error: float = 0.0
    worst_row: int = -1
    missing: tuple[str, ...] = ()


def compare(
    first: Mapping[str, Array],
    other: Mapping[str, Array],
    classes: Sequence[str] = (),
    other_classes: Sequence[str] = (),
) -> Comparison:
    """Compare the outputs of one request, by name, each of rows × anything.

    Labels are texts, whole numbers and booleans, row by row; floats are scores. Where there are
    `probabilities` and no `label`, the most probable class is the label. `classes` name the columns
    of `probabilities` in each answer; those of `other` are put in the first's order.
    """
    other = _in_order(other, classes, other_classes)
    missing = tuple(name for name in first if not _fits(first[name], other.get(name)))
    shared = {name: value for name, value in first.items() if name not in missing}
    rows = max((len(value) for value in first.values() if value.ndim), default=0)
    absolute, relative = np.zeros(max(rows, 1)), np.zeros(max(rows, 1))
    flips: dict[int, Flip] = {}
    for name, value in shared.items():
        if value.dtype.kind not in "fc":
            _add_flips(flips, value, other[name], rows)
        elif name == _PROBABILITIES and value.ndim == 2 and value.size and _LABEL not in shared:
            _add_flips(flips, *_most_probable(value, other[name], classes), rows)
    for name, value in shared.items():
        if value.dtype.kind in "fc" and value.size:
            errors, shares = _errors(value, other[name])
            kept = slice(None, len(errors))
            absolute[kept] = np.maximum(absolute[kept], errors)
            relative[kept] = np.maximum(relative[kept], shares)
    largest = float(absolute.max(initial=0.0))
    return Comparison(
        rows,
        tuple(flips[row] for row in sorted(flips)),
        largest,
        float(relative.max(initial=0.0)),
        int(absolute.argmax()) if largest > 0 else -1,
        missing,
    )


def _fits(value: Array, other: Array | None) -> bool:
    """Whether both can be compared element by element."""
    if other is None or value.shape != other.shape:
        return False
    return (value.dtype.kind in "fc") == (other.dtype.kind in "fc")


def _in_order(
    other: Mapping[str, Array], classes: Sequence[str], other_classes: Sequence[str]
) -> Mapping[str, Array]:
    """The other answer with its probabilities by the first's classes, 0 for one it doesn't know."""
    scores = other.get(_PROBABILITIES)
    known = {name: place for place, name in enumerate(other_classes)}
    if scores is None or not classes or tuple(classes) == tuple(other_classes):
        return other
    if scores.ndim != 2 or scores.shape[1] != len(known) or not known.keys() & set(classes):
        return other
    ordered = np.zeros((len(scores), len(classes)), scores.dtype)
    for place, name in enumerate(classes):
        if name in known:
            ordered[:, place] = scores[:, known[name]]
    return {**other, _PROBABILITIES: ordered}


def _most_probable(value: Array, other: Array, classes: Sequence[str]) -> tuple[Array, Array]:
    """Both answers' labels, by their name where the classes are known."""
    first, second = value.argmax(axis=1), other.argmax(axis=1)
    if len(classes) != value.shape[1]:
        return first, second
    names = np.array(classes, dtype=object)
    return names[first], names[second]


def _add_flips(flips: dict[int, Flip], value: Array, other: Array, rows: int) -> None:
    """Note each row in which the two differ; what does not go by rows belongs to the first."""
    if not value.size:
        return
    if (value.dtype.kind in "OUS") != (other.dtype.kind in "OUS"):
        # One version's labels are texts and the other's numbers: 3 and "3" are the same class.
        value, other = _texts(value), _texts(other)
    differ = np.asarray(value != other, dtype=bool)
    places = np.argwhere(differ.reshape(len(differ), -1) if differ.ndim else differ.reshape(1, 1))
    for row, column in places:
        before = value.reshape(len(value), -1)[row, column] if value.ndim else value[()]
        after = other.reshape(len(other), -1)[row, column] if other.ndim else other[()]
        if row < max(rows, 1):
            flips.setdefault(int(row), Flip(int(row), _text(before), _text(after)))


def _errors(value: Array, other: Array) -> tuple[Array, Array]:
    """The largest absolute and relative error of each row."""
    kind = np.complex128 if "c" in value.dtype.kind + other.dtype.kind else np.float64
    rows = len(value) if value.ndim else 1
    first = value.astype(kind).reshape(rows, -1)
    second = other.astype(kind).reshape(rows, -1)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(first - second)
    errors[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    errors[np.isnan(errors)] = np.inf
    # By the row, as a parity has it: near zero an error relative to the score itself says nothing.
    scale = np.where(np.isfinite(first), np.abs(first), 0.0).max(axis=1)
    largest = errors.max(axis=1)
    with np.errstate(over="ignore"):
        shares = largest / np.maximum(scale, float(np.finfo(np.float32).tiny))
    return largest, shares


def _texts(array: Array) -> Array:
    made = np.empty(array.shape, dtype=object)
    made.reshape(-1)[:] = [_text(value) for value in array.reshape(-1).tolist()]
    return made


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
