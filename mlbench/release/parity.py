"""Whether the exported model answers as the original does, on the held-out rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlbench.domain.release import Parity

# Scores are float32 in the exported model: 24 bits of mantissa through a few hundred operations.
TOLERANCE = 1e-3
_SMALLEST_SHARE = 0.01
_NUMERIC = "biuf"
_SINGLE_ROWS = 32
_LATENCY_CALLS = 200

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """Parity and latency of one exported model; latency in milliseconds for one row."""

    parity: Parity
    latency: Mapping[str, float]


def prove(model: Path, answers: Path) -> Proof:
    """Run the exported model on the rows in `answers`, all at once and one by one.

    `answers` holds X (n × features, float32), label (n) and, for models that have them, scores
    (n × k) of the original model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    with np.load(answers, allow_pickle=False) as saved:
        original = {name: saved[name] for name in saved.files}
    rows = original["X"]
    # A regressor has scores alone; its labels then agree by being the same nothing.
    has_labels = "label" in original
    feed_name = session.get_inputs()[0].name
    together = _answers(session, feed_name, rows)
    singles = min(len(rows), _SINGLE_ROWS)
    alone = [_answers(session, feed_name, rows[i : i + 1]) for i in range(singles)]
    labels = np.concatenate([together[0], *(item[0] for item in alone)])
    scores = np.concatenate([together[1], *(item[1] for item in alone)])
    index = np.concatenate([np.arange(len(rows)), np.arange(singles)])
    expected = original["label"][index] if has_labels else labels
    parity = compare(expected, original["scores"][index], labels, scores, index)
    return Proof(parity, _latency(session, feed_name, rows[:1]))


def compare(
    labels: Array, scores: Array, exported_labels: Array, exported_scores: Array, index: Array
) -> Parity:
    """The distance between two sets of answers, one row for each entry of `index`.

    A relative error is relative to the row's largest score, or to a hundredth of the usual one
    where that is more: near zero, an error relative to the score itself would say nothing.
    """
    scores = np.asarray(scores, dtype=np.float64).reshape(len(index), -1)
    exported_scores = np.asarray(exported_scores, dtype=np.float64).reshape(len(index), -1)
    error = _errors(scores, exported_scores).max(axis=1)
    relative = _relative(error, np.abs(scores).max(axis=1))
    flips = int(_differ(labels, exported_labels).sum())
    return Parity(
        passed=bool(flips == 0 and relative.max() <= TOLERANCE),
        rows=len(set(index.tolist())),
        max_abs_error=float(error.max()),
        max_rel_error=float(relative.max()),
        label_flips=flips,
        worst_row=int(index[error.argmax()]),
    )


def _errors(scores: Array, exported: Array) -> Array:
    """Absolute errors; infinite where a score is NaN or has no counterpart."""
    if scores.shape != exported.shape:
        return np.full_like(scores, np.inf)
    with np.errstate(invalid="ignore"):
        error = np.where(scores == exported, 0.0, np.abs(exported - scores))
    return np.where(np.isnan(error), np.inf, error)


def _relative(error: Array, largest: Array) -> Array:
    """The errors of rows by the size of their largest scores."""
    finite = largest[np.isfinite(largest)]
    usual = np.median(finite) if len(finite) else 0.0
    floor = max(float(_SMALLEST_SHARE * usual), float(np.finfo(np.float32).tiny))
    scale = np.maximum(largest, floor)
    with np.errstate(invalid="ignore"):
        relative = error / scale
    return np.where(np.isnan(relative), np.inf, relative)


def _differ(labels: Array, exported: Array) -> Array:
    """Where labels differ: numbers by value, for ONNX has 1 where the original has 1.0 or True."""
    if labels.dtype.kind in _NUMERIC and exported.dtype.kind in _NUMERIC:
        return np.asarray(labels != exported)
    return np.asarray(labels.astype(str) != exported.astype(str))


def _answers(session: Any, feed_name: str, rows: Array) -> tuple[Array, Array]:
    outputs = session.run(None, {feed_name: rows})
    label = np.asarray(outputs[0]).reshape(len(rows), -1)[:, 0]
    scores = np.asarray(outputs[-1]).reshape(len(rows), -1)
    return label, scores


def _latency(session: Any, feed_name: str, row: Array) -> dict[str, float]:
    times = []
    for _ in range(_LATENCY_CALLS):
        started = time.perf_counter()
        session.run(None, {feed_name: row})
        times.append((time.perf_counter() - started) * 1000)
    return {
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
    }
