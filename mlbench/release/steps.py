"""Whether two models' answers step at the same side of the same split thresholds: pure.

A model of trees is constant between thresholds, and between two neighbouring float32 values it
changes by what a single node decides. In a sum over hundreds of trees that is far below what
rounding may leave elsewhere, so it is not enough that answers lie near: they must stay the same
where the original's do, and change where the original's do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlbench.release.answers import Array

# Two probes of one threshold lie a few float32 steps apart; behind preprocessing a few more.
_NEIGHBOURS = 64
# What a float32 sum that takes in one other leaf may be off by, of the row's largest score.
_ROUNDING = 1e-5
# Below so many float32 steps of a score a change may be lost in it, or be rounding alone.
_VISIBLE_STEPS = 4
# A column of scores keeps float32's precision near zero where all but a few errors are below this.
_PRECISE = 1e-5
_CHUNK = 8192
_EPSILON = float(np.finfo(np.float32).eps)


def missed_steps(inputs: Sequence[Array], scores: Array | None, exported: Array | None) -> Array:
    """The rows at which one of two models steps and the other does not, or not as far.

    `inputs` are the tensors that both were fed (n x features, or n x 1 for a column), `scores` the
    original's and `exported` the other's answers (n x k). Compared are rows that follow each other
    and differ in one number by a few float32 steps.
    """
    if scores is None or exported is None or scores.shape != exported.shape or len(scores) < 2:
        return np.empty(0, dtype=np.int64)
    first, rising = neighbours(inputs, len(scores))
    finite = np.asarray((np.isfinite(scores) & np.isfinite(exported)).all(axis=1))
    usable = finite[first] & finite[first + 1]
    first, rising = first[usable], rising[usable]
    if not len(first):
        return np.empty(0, dtype=np.int64)
    change = scores[first + 1] - scores[first]
    answer = exported[first + 1] - exported[first]
    largest = np.abs(scores[first]).max(axis=1, keepdims=True)
    missed = np.asarray((np.abs(change - answer) > _ROUNDING * largest).any(axis=1))
    visible = _VISIBLE_STEPS * _EPSILON * _size(scores[first], exported[first], largest)
    stays, answer_stays = (change == 0).all(axis=1), (answer == 0).all(axis=1)
    steps, answer_steps = ((np.abs(moved) > visible).any(axis=1) for moved in (change, answer))
    # Leaves of several trees may cancel out: the original stays, and a float32 sum moves by a
    # rounding. It is a step where the other lacks that of the original, a little further on.
    answer_steps |= ~answer_stays & _any_beside(~stays & answer_stays, first, rising)
    # Where the other one moves with every float32 step, it is not made of trees alone.
    if (stays & answer_stays).sum() >= (stays & answer_steps).sum():
        missed |= (stays & answer_steps) | (steps & answer_stays)
    return np.asarray(first[missed] + 1)


def _any_beside(marked: Array, first: Array, rising: Array) -> Array:
    """Whether any pair is marked among those that go through one threshold, row after row."""
    breaks = (np.diff(first) != 1) | (rising[1:] != rising[:-1])
    run = np.concatenate([[0], np.cumsum(breaks)])
    return np.asarray(np.bincount(run, weights=marked)[run] > 0)


def neighbours(inputs: Sequence[Array], rows: int) -> tuple[Array, Array]:
    """Each row i that differs from row i + 1 in one number, by a few float32 steps.

    Beside it whether the number rises.
    """
    found, rising = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=bool)]
    for start in range(0, rows - 1, _CHUNK):
        stop = min(start + _CHUNK, rows - 1)
        differing = np.zeros(stop - start, dtype=np.int64)
        far, up = np.zeros(stop - start, dtype=bool), np.zeros(stop - start, dtype=bool)
        for tensor in inputs:
            flat = tensor[start : stop + 1].reshape(stop + 1 - start, -1)
            one, other = flat[:-1], flat[1:]
            changed = one != other
            if flat.dtype.kind == "f":
                changed &= ~(np.isnan(one) & np.isnan(other))
                up |= (changed & (other > one)).any(axis=1)
            differing += changed.sum(axis=1)
            far |= (changed & ~_close(one, other)).any(axis=1)
        places = np.flatnonzero((differing == 1) & ~far)
        found.append(start + places)
        rising.append(up[places])
    return np.concatenate(found), np.concatenate(rising)


def _close(one: Array, other: Array) -> Array:
    """Where numbers lie a few float32 steps apart; other values never do."""
    if one.dtype.kind != "f":
        return np.zeros(one.shape, dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):
        step = np.spacing(np.maximum(np.abs(one), np.abs(other)).astype(np.float32))
        distance = np.abs(one.astype(np.float64) - other.astype(np.float64))
        return np.asarray(distance <= _NEIGHBOURS * step.astype(np.float64))


def _size(scores: Array, exported: Array, largest: Array) -> Array:
    """What the resolution of each score goes by: itself, or the row's largest one.

    The latter where a column's small scores are differences of large ones, as in 1 - p.
    """
    sizes = np.abs(scores)
    error = np.abs(exported - scores) / np.maximum(sizes, np.finfo(np.float32).tiny)
    precise = np.quantile(error, 0.99, axis=0) <= _PRECISE
    return np.where(precise, sizes, np.broadcast_to(largest, sizes.shape))
