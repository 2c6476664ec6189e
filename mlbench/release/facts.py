"""What a candidate is known by under `onnx.`, for gates."""

from __future__ import annotations

from mlbench.domain.release import Candidate

# What only a comparison with the original tells.
BESIDE_ORIGINAL = ("max_abs_error", "max_rel_error", "label_flips")


def onnx_facts(candidate: Candidate) -> dict[str, float]:
    """Errors, label flips, latency, size and the metrics scored again on the exported model.

    A candidate of another format than ONNX has its size alone; one without an original to compare
    with has neither errors nor flips, for that none was found would say that there was a search.
    """
    facts = {"bytes": float(candidate.size)}
    parity = candidate.parity
    if parity is None:
        return facts
    measured = {**parity.exported_metrics, **candidate.latency, **facts}
    if not parity.has_original:
        return measured
    errors = (parity.max_abs_error, parity.max_rel_error, float(parity.label_flips))
    return {**measured, **dict(zip(BESIDE_ORIGINAL, errors, strict=True))}
