"""Gates judged by what tests say of a run, and small tables of predictions for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlbench.domain.release import GateResult
from mlbench.domain.stages import GateSpec
from mlbench.release.gates import NOTHING_ELSE, Evidence, judge_gate
from mlbench.release.slices import Predictions


def judged(
    check: str,
    level: str = "error",
    *,
    evidence: Evidence = NOTHING_ELSE,
    min_rows: int = 1,
    **facts: Any,
) -> GateResult:
    return judge_gate("digits", GateSpec(check, level, min_rows), facts, evidence)


def table(hits: str, region: str) -> Callable[[], Predictions]:
    """Predictions that are right where `hits` has a 1."""
    truth = np.array(["1"] * len(hits))
    return lambda: Predictions(truth, np.array([*hits]), {"region": np.array([*region])})


SLICED = Evidence(
    {"": table("1101" + "1111", "nnnnssss"), "production": table("1111" + "1110", "nnnnssss")}
)
LIVE = {"accuracy": 1.0}
