"""Whether the exported model answers as the original does, on rows of one kind: pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mlbench.domain.phrases import number
from mlbench.domain.release import Parity, ParityCheck
from mlbench.release.answers import Answers, Array, alike, keys_of
from mlbench.release.proof import HELD_OUT
from mlbench.release.steps import missed_steps, neighbours
from mlbench.release.worst import Shown, both_answers

# Scores are float32 in the exported model: 24 bits of mantissa, 6e-8 of a score, through up to some
# thousand operations. What is left above that is no rounding.
TOLERANCE = 1e-3
# Where two classes lie this close, by the size of the row's largest score, either is the model's
# answer, and rounding decides: a thousand times float32's own, a tenth of TOLERANCE.
FLIP_MARGIN = 1e-4
_SMALLEST_SHARE = 0.01


def compare(
    name: str, original: Answers, exported: Answers, shown: Shown, *, steps: bool = False
) -> ParityCheck:
    """One kind of rows: the exported model's answers beside the original's.

    An error is relative to the row's largest score, or to a hundredth of the usual one where that
    is more: near zero, an error relative to the score itself would say nothing. NaN agrees with
    NaN. With `steps` the rows lie around split thresholds, where the answers must also step as the
    original's do. ValueError where the original gave neither labels nor scores, or there is no row.
    """
    rows = original.rows
    if not rows:
        raise ValueError("there are no answers to compare with")
    errors = _errors(original.scores, exported.scores, rows)
    scale = _scale(original.scores, rows)
    relative = _share(errors.max(axis=1), scale)
    flips = _differ(original.label, exported.label, rows)
    excused = flips & _near_tie(original, exported, scale, np.asarray(shown.classes))
    inputs = list(shown.inputs.values()) if steps else []
    missed = missed_steps(inputs, original.scores, exported.scores)
    worst = int(_badness(relative, flips & ~excused, missed).argmax())
    beside = _beside(inputs, rows, worst)
    check = ParityCheck(
        name=name,
        passed=None,
        rows=rows,
        max_abs_error=float(errors.max()),
        max_rel_error=float(relative.max()),
        label_flips=int(flips.sum()),
        excused_flips=int(excused.sum()),
        worst_row=worst,
        worst=both_answers(shown, original, exported, errors, worst, beside),
    )
    why = _why(check, len(missed))
    return replace(check, passed=not why, why=why)


def combine(
    checks: Sequence[ParityCheck],
    original_metrics: Mapping[str, float],
    exported_metrics: Mapping[str, float],
) -> Parity:
    """The parity over all kinds of rows: it holds where no check fails.

    `checks` holds one at least; `rows` are those held out.
    """
    failed = [check for check in checks if check.passed is False]
    worst = max(failed or checks, key=lambda check: (check.max_rel_error, check.label_flips))
    return Parity(
        passed=not failed,
        rows=max((check.rows for check in checks if check.name == HELD_OUT), default=0),
        max_abs_error=max(check.max_abs_error for check in checks),
        max_rel_error=max(check.max_rel_error for check in checks),
        label_flips=sum(check.label_flips for check in checks),
        worst_row=worst.worst_row,
        worst_check=worst.name,
        tolerance=TOLERANCE,
        flip_margin=FLIP_MARGIN,
        checks=tuple(checks),
        original_metrics=dict(original_metrics),
        exported_metrics=dict(exported_metrics),
    )


def _errors(scores: Array | None, exported: Array | None, rows: int) -> Array:
    """Absolute errors, n x k; infinite where a score has no counterpart."""
    if scores is None:
        return np.zeros((rows, 1))
    if exported is None or scores.shape != exported.shape:
        return np.full((rows, 1), math.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        error: Array = np.abs(exported - scores)
    error[(scores == exported) | (np.isnan(scores) & np.isnan(exported))] = 0.0
    error[np.isnan(error)] = math.inf
    return error


def _scale(scores: Array | None, rows: int) -> Array:
    """What the errors of each row are measured by."""
    if scores is None:
        return np.ones(rows)
    # An infinite score must not make the errors of those beside it look small.
    largest = np.where(np.isfinite(scores), np.abs(scores), 0.0).max(axis=1)
    usual = float(np.median(largest))
    floor = max(_SMALLEST_SHARE * usual, float(np.finfo(np.float32).tiny))
    return np.asarray(np.maximum(largest, floor))


def _share(error: Array, scale: Array) -> Array:
    """Errors by the scale of their rows; infinite where that says nothing."""
    with np.errstate(invalid="ignore", over="ignore"):
        share = error / scale
    return np.where(np.isnan(share), math.inf, share)


def _differ(labels: Array | None, exported: Array | None, rows: int) -> Array:
    """Where the labels of a row differ; a regressor has none to flip."""
    if labels is None:
        return np.zeros(rows, dtype=bool)
    if exported is None or labels.size != exported.size:
        return np.ones(rows, dtype=bool)
    same = alike(labels.reshape(rows, -1), exported.reshape(rows, -1))
    return np.asarray(~same.all(axis=1))


def _near_tie(original: Answers, exported: Answers, scale: Array, classes: Array) -> Array:
    """Where, by the original's scores, its own label and the exported model's are as good as best.

    Their scores are looked up by `classes`; where these don't tell, the two best ones count.
    """
    scores = original.scores
    labels = (original.label, exported.label)
    if scores is None or scores.shape[1] < 2 or any(label is None for label in labels):
        return np.zeros(len(scale), dtype=bool)
    flat = [label.reshape(len(scale), -1) for label in labels if label is not None]
    if any(label.shape[1] > 1 for label in flat):
        return np.zeros(len(scale), dtype=bool)
    ordered = np.sort(scores, axis=1)
    lower = ordered[:, -2]
    if len(classes) == scores.shape[1]:
        *chosen, known = keys_of(*flat, classes)
        places = {key: place for place, key in enumerate(known)}
        lower = np.min([_scores_of(scores, keys, places) for keys in chosen], axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray((ordered[:, -1] - lower) / scale <= FLIP_MARGIN)


def _scores_of(scores: Array, keys: Sequence[Hashable], places: Mapping[Hashable, int]) -> Array:
    """The score of each row's label; -inf for a label that is none of the classes."""
    column = np.array([places.get(key, -1) for key in keys])
    return np.where(column >= 0, scores[np.arange(len(column)), column], -math.inf)


def _badness(relative: Array, flipped: Array, missed: Array) -> Array:
    """What ranks rows: errors that are too large, else flips, else missed steps, else errors."""
    if relative.max() <= TOLERANCE:
        if flipped.any():
            return np.asarray(np.where(flipped, 1 + relative, 0.0))
        if len(missed):
            sides = np.concatenate([missed, missed - 1])
            ranked = np.zeros(len(relative))
            ranked[sides] = 1 + relative[sides]
            return ranked
    return relative


def _beside(inputs: Sequence[Array], rows: int, row: int) -> int:
    """The row that differs from `row` by a few float32 steps in one number; -1 without one."""
    first = neighbours(inputs, rows)[0]
    if row - 1 in first:
        return row - 1
    return row + 1 if row in first else -1


def _why(check: ParityCheck, missed: int) -> str:
    """How a check fails; empty where it holds."""
    faults = []
    if flips := check.label_flips - check.excused_flips:
        flipping = "label flips" if flips == 1 else "labels flip"
        faults.append(f"{flips} of {check.rows} {flipping} beyond the margin of {FLIP_MARGIN:g}")
    if check.max_rel_error > TOLERANCE:
        size, share = number(check.max_abs_error), number(check.max_rel_error)
        faults.append(f"the largest error is {size}, {share} relative ({TOLERANCE:g} is tolerated)")
    if missed:
        faults.append(
            "the answer changes at another place than the original's between "
            f"{missed} pair{'' if missed == 1 else 's'} of rows around split thresholds"
        )
    return "; ".join(faults)
