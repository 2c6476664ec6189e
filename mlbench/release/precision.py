"""When a model is exported with an input of float64, and in what words: pure.

float32 comes first, for that is what clients and other servers expect of a model. But behind a
scaler, or before trees that compare float64, a row may lie so near to a split that its cast to
float32 falls on the other side; then the graph takes the rows as training had them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlbench.domain.phrases import number
from mlbench.domain.release import Parity, ParityCheck
from mlbench.release.proof import RAW

SINGLE, DOUBLE = "single", "double"


def may_help(report: Mapping[str, Any], parity: Parity) -> bool:
    """Whether only rows as stored are answered otherwise, by a graph that could take float64."""
    failed = [check.name for check in parity.checks if check.passed is False]
    return bool(report.get("takes_float64")) and failed == [RAW]


def reason(parity: Parity) -> str:
    """What float32 would do, by the proof that failed for it alone."""
    [raw] = (check for check in parity.checks if check.name == RAW)
    return f"FP64: float32 would {_harm(raw)}"


def _harm(raw: ParityCheck) -> str:
    flips = raw.label_flips - raw.excused_flips
    if flips:
        return f"flip {flips} of {raw.rows} held-out rows"
    error = f"{number(raw.max_abs_error)} ({number(raw.max_rel_error)} relative)"
    return f"move answers to the {raw.rows} held-out rows by up to {error}"
