"""Whether an exported model answers as the original did, in every group of rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.release.exports import Exported

TOLERANCE = 2e-5
"""Of the largest score: sums of hundreds of float32 terms in another order."""

_TIE = 1e-6

Archive = Mapping[str, NDArray[Any]]


def agreeing_groups(exported: Exported) -> set[str]:
    """The groups of rows that the export wrote, each of which has to agree."""
    assert exported.report["ok"], exported.report
    session = onnxruntime.InferenceSession(exported.model, _quiet())
    _compare(session, exported.answers, "held-out")
    groups = {"held-out"}
    for path in sorted((exported.out / "probes").glob("*.npz")):
        _compare(session, _read(path), path.stem)
        groups.add(path.stem)
    return groups


def group(exported: Exported, name: str) -> Archive:
    """One group of probes."""
    return _read(exported.out / "probes" / f"{name}.npz")


def _compare(session: Any, answers: Archive, name: str) -> None:
    feed = {key[3:]: array for key, array in answers.items() if key.startswith("in:")}
    served = dict(
        zip([each.name for each in session.get_outputs()], session.run(None, feed), strict=True)
    )
    scores = answers["scores"]
    given = served["probabilities" if "label" in answers else "prediction"]
    given = given.astype(np.float64).reshape(scores.shape)
    largest = max(float(np.abs(scores).max()), 1e-30)
    error = np.abs(given - scores).max(axis=1) / largest
    assert error.max() <= TOLERANCE, f"{name}: row {error.argmax()}"
    if "label" not in answers:
        return
    best = np.sort(scores, axis=1)
    sure = best[:, -1] - best[:, -2] > _TIE
    expected, label = answers["label"], served["label"]
    if expected.dtype.kind in "biuf":
        np.testing.assert_array_equal(label[sure], expected[sure], err_msg=name)
    else:
        assert label[sure].tolist() == expected[sure].tolist(), name


def _read(path: Path) -> Archive:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _quiet() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options
