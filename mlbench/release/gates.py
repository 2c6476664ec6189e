"""Judging gates over a mapping of facts that the engine assembles: pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mlbench.domain.expression import (
    ExpressionError,
    Facts,
    MissingFactError,
    judge,
    look_up,
    names_in,
    parse,
)
from mlbench.domain.release import GateResult
from mlbench.domain.stages import GateSpec, ModelSpec

LIVE_ROOTS = ("production", "staging", "baseline")
EXPORT_ROOT = "onnx"


def judge_gates(model: ModelSpec, facts: Facts, *, exported: bool) -> tuple[GateResult, ...]:
    """Every gate of a model, in the order of the file; those over `onnx.` only once exported."""
    return tuple(
        judge_gate(model.name, gate, facts)
        for gate in model.gates
        if exported or not needs_export(gate)
    )


def needs_export(gate: GateSpec) -> bool:
    """Whether a gate can be judged only once the model is exported."""
    return any(name.startswith(f"{EXPORT_ROOT}.") for name in names_in(parse(gate.check)))


def hold(results: Iterable[GateResult]) -> bool:
    """Whether nothing among these results stops a promotion."""
    return not any(result.refuses for result in results)


def judge_gate(model: str, gate: GateSpec, facts: Facts) -> GateResult:
    """One gate: passed, failed with the reason, or None where it compares with nothing live."""
    tree = parse(gate.check)
    for name in sorted(names_in(tree)):
        root = name.partition(".")[0]
        if root in LIVE_ROOTS and not facts.get(root):
            return GateResult(
                gate.check, model, gate.level, None, why=f"nothing is live in {root} yet"
            )
    try:
        for name in sorted(names_in(tree)):
            value = look_up(name, facts)
            if isinstance(value, float) and math.isnan(value):
                return GateResult(gate.check, model, gate.level, False, why=f"{name} is NaN")
        judged = judge(tree, facts)
    except (MissingFactError, ExpressionError) as error:
        return GateResult(gate.check, model, gate.level, False, why=str(error))
    if judged.margin is not None and math.isnan(judged.margin):
        return GateResult(gate.check, model, gate.level, False, why="its margin is NaN")
    return GateResult(
        gate.check,
        model,
        gate.level,
        judged.holds,
        judged.value,
        judged.threshold,
        judged.margin,
        "" if judged.holds else _why(judged.margin),
    )


def _why(margin: float | None) -> str:
    return "does not hold" if margin is None else f"missed by {abs(margin):.4g}"
