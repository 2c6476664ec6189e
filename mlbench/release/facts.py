"""What a candidate is known by under `onnx.`, for gates."""

from __future__ import annotations

from mlbench.domain.release import Candidate


def onnx_facts(candidate: Candidate) -> dict[str, float]:
    """Errors, label flips, latency, size and the metrics scored again on the exported model.

    A candidate of another format than ONNX has its size alone.
    """
    facts = {"bytes": float(candidate.size)}
    parity = candidate.parity
    if parity is None:
        return facts
    return {
        **parity.exported_metrics,
        **candidate.latency,
        "max_abs_error": parity.max_abs_error,
        "max_rel_error": parity.max_rel_error,
        "label_flips": float(parity.label_flips),
        **facts,
    }
