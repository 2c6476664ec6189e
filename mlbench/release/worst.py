"""A row in words: what it holds that matters, and both models' answers to it: pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlbench.domain.phrases import number
from mlbench.release.answers import Answers, Array, label_text

_MOST_VALUES = 6
_MOST_LETTERS = 40
_MOST_DIGITS = 17
_SAMPLED_ROWS = 1000
_WRITTEN_OUT = 1e15
_MUCH = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What words about rows are made of.

    `inputs` is what the exported model was fed, by tensor; `stored` the same rows before they were
    cast, where they are told beside it. `columns` name the features of a single input, `classes`
    the scores.
    """

    inputs: Mapping[str, Array]
    columns: Sequence[str] = ()
    classes: Sequence[Any] | Array = ()
    stored: Mapping[str, Array] = field(default_factory=dict)


def both_answers(
    shown: Shown, original: Answers, exported: Answers, errors: Array, row: int, beside: int = -1
) -> str:
    """`row 17: width=0.4, height=3: original 0.81 → exported 0.12 (score of cat), cat → dog`.

    `errors` (n x k) tells which score is told. With `beside`, a row to compare with, only the
    values in which both differ are told.
    """
    parts = []
    if original.scores is not None and exported.scores is not None:
        parts.append(_scores_told(shown.classes, original.scores, exported.scores, errors, row))
    if original.label is not None and exported.label is not None:
        one, other = (_label_told(answers.label, row) for answers in (original, exported))
        if one != other:
            parts.append(f"{one} → {other}")
    values = _values_told(shown, row, beside)
    return f"row {row}" + (f": {values}" if values else "") + ": " + ", ".join(parts)


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers in as few digits as show where they differ, four at least."""
    texts = (number(one), number(other))
    if one == other or texts[0] != texts[1]:
        return texts
    for digits in range(5, _MOST_DIGITS + 1):
        texts = (f"{one:.{digits}g}", f"{other:.{digits}g}")
        if texts[0] != texts[1]:
            break
    return texts


def _scores_told(
    classes: Sequence[Any] | Array, scores: Array, exported: Array, errors: Array, row: int
) -> str:
    if scores.shape != exported.shape:
        return f"original {scores.shape[1]} scores → exported {exported.shape[1]}"
    column = int(errors[row].argmax())
    one, other = told_apart(float(scores[row, column]), float(exported[row, column]))
    of = ""
    if scores.shape[1] > 1:
        named = len(classes) == scores.shape[1]
        of = (
            f" (score of {_shortened(label_text(classes[column]))})"
            if named
            else f" (score {column})"
        )
    return f"original {one} → exported {other}{of}"


def _label_told(labels: Array | None, row: int) -> str:
    if labels is None:
        return ""
    return " ".join(_shortened(label_text(label)) for label in np.atleast_1d(labels[row]))


def _values_told(shown: Shown, row: int, beside: int) -> str:
    """The values of a row that matter most; nothing for images and the like."""
    flat = _columns_of(shown)
    if beside >= 0:
        flat = [(name, values) for name, values in flat if values[row] != values[beside]]
    stored = {name: values[:, 0] for name, values in _matrices(shown.stored, shown.columns)}
    weights = {name: _weight(values, stored.get(name), row) for name, values in flat}
    if len(flat) > _MOST_VALUES:
        heaviest = sorted(weights, key=lambda name: -weights[name])[:_MOST_VALUES]
        flat = [(name, values) for name, values in flat if name in heaviest]
    # Every cast changes something; where one changes much, only that matters.
    lost = {name for name in stored if weights.get(name, 0.0) > _MUCH} or set(stored)
    return ", ".join(
        f"{name}={_value_told(values[row], stored[name][row] if name in lost else None)}"
        for name, values in flat
    )


def _columns_of(shown: Shown) -> list[tuple[str, Array]]:
    """Every column by name, n values each; none where a tensor has more than two dimensions."""
    if any(tensor.ndim > 2 for tensor in shown.inputs.values()):
        return []
    return [(name, values[:, 0]) for name, values in _matrices(shown.inputs, shown.columns)]


def _matrices(tensors: Mapping[str, Array], columns: Sequence[str]) -> list[tuple[str, Array]]:
    """The columns of tensors, n x 1 each: a tensor of one column has the tensor's name."""
    found = []
    for tensor, values in tensors.items():
        matrix = values.reshape(len(values), -1)
        width = matrix.shape[1]
        if width == 1 and (len(tensors) > 1 or not columns):
            found.append((tensor, matrix))
            continue
        names = columns if len(columns) == width else [f"{tensor}[{i}]" for i in range(width)]
        found += [(names[i], matrix[:, i : i + 1]) for i in range(width)]
    return found


def _weight(values: Array, stored: Array | None, row: int) -> float:
    """How likely a value is to matter: how much the cast changed it, or how unusual it is."""
    if values.dtype.kind not in "biuf":
        return 1.0
    numbers = values.astype(np.float64)
    if stored is not None:
        spread = float(np.nanstd(stored)) if len(stored) > 1 else 1.0
        return _ratio(abs(float(stored[row]) - float(numbers[row])), spread)
    if math.isnan(float(numbers[row])):
        return math.inf
    present = numbers[:_SAMPLED_ROWS][np.isfinite(numbers[:_SAMPLED_ROWS])]
    middle = float(np.median(present)) if len(present) else 0.0
    spread = float(np.abs(present - middle).mean()) if len(present) else 1.0
    return _ratio(abs(float(numbers[row]) - middle), spread)


def _ratio(distance: float, spread: float) -> float:
    return distance / spread if spread > 0 else (math.inf if distance > 0 else 0.0)


def _value_told(value: Any, stored: Any | None) -> str:
    """A value with the digits that tell it from its neighbours, and what it was before a cast."""
    text = _number_told(value)
    before = text if stored is None else _number_told(stored)
    return text if before == text else f"{before} (as float32: {text})"


def _number_told(value: Any) -> str:
    """A whole number without an exponent; another value as it writes itself."""
    is_number = isinstance(value, np.floating) and abs(value) < _WRITTEN_OUT
    return str(int(value)) if is_number and value == np.floor(value) else _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"
