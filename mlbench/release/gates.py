"""Judging gates over a mapping of facts that the engine assembles: pure."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from mlbench.domain.errors import MlbenchError, nearest
from mlbench.domain.expression import (
    SLICES,
    ExpressionError,
    Facts,
    MissingFactError,
    look_up,
    names_in,
)
from mlbench.domain.judgement import Judgement, judge
from mlbench.domain.records import dataclass
from mlbench.domain.release import GateResult
from mlbench.domain.slices import DROP, parse_gate, slice_calls
from mlbench.domain.stages import GateSpec, ModelSpec
from mlbench.release.applying import applying
from mlbench.release.facts import BESIDE_ORIGINAL
from mlbench.release.leeway import LIVE_ROOTS, Scatter, metrics_in

if TYPE_CHECKING:
    from mlbench.release.slices import Predictions

EXPORT_ROOT = "onnx"
OWN, PRODUCTION = "", "production"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What gates rest on beside the facts, each read only where a gate asks for it.

    `predictions` gives the table of the model itself, under OWN, and of what is live; `scatter`
    what repeats of runs tell; `lost` says of what is live by root, and on record no more, why
    nothing can be compared with it.
    """

    predictions: Mapping[str, Callable[[], Predictions]] = field(default_factory=dict)
    scatter: Callable[[], Scatter] = Scatter
    lost: Mapping[str, str] = field(default_factory=dict)


NOTHING_ELSE = Evidence()


def judge_gates(
    model: ModelSpec, facts: Facts, *, exported: bool, evidence: Evidence = NOTHING_ELSE
) -> tuple[GateResult, ...]:
    """Every gate of a model, in the order of the file; those over `onnx.` only once exported."""
    return tuple(
        judge_gate(model.name, gate, facts, evidence)
        for gate in model.gates
        if exported or not needs_export(gate)
    )


def needs_export(gate: GateSpec) -> bool:
    """Whether a gate can be judged only once the model is exported."""
    return any(name.startswith(f"{EXPORT_ROOT}.") for name in names_in(parse_gate(gate.check)))


def hold(results: Iterable[GateResult]) -> bool:
    """Whether nothing among these results stops a promotion."""
    return not any(result.refuses for result in results)


def judge_gate(
    model: str, gate: GateSpec, facts: Facts, evidence: Evidence = NOTHING_ELSE
) -> GateResult:
    """One gate: passed, failed with the reason, or None where nothing of it applies.

    A comparison with what is not live yet does not apply; what else the gate says is judged.
    """
    try:
        tree = parse_gate(gate.check)
        absent = _absent(tree, facts, evidence)
        sliced, remarks = _weighed(tree, gate, evidence, absent)
        part = applying(tree, absent)
        if part.tree is None:
            return GateResult(gate.check, model, gate.level, None, why="; ".join(part.remarks))
        facts = {**facts, SLICES: sliced}
        _check_names(part.tree, facts)
        scatter = evidence.scatter() if any(metrics_in(part.tree, facts)) else Scatter()
        judged = judge(part.tree, scatter.means(facts), scatter.leeway(facts))
    except (MissingFactError, ExpressionError, MlbenchError) as error:
        return GateResult(gate.check, model, gate.level, False, why=str(error))
    if judged.margin is not None and math.isnan(judged.margin):
        return GateResult(gate.check, model, gate.level, False, why="its margin is NaN")
    noise = scatter.phrase(judged.noise, part.tree, facts)
    remarks = (*remarks, *part.remarks, *scatter.remarks(part.tree, facts))
    return GateResult(
        gate.check,
        model,
        gate.level,
        judged.holds,
        judged.value,
        judged.threshold,
        judged.margin,
        "; ".join(remark for remark in (_verdict(judged, noise), *remarks) if remark),
        judged.noise,
    )


def _absent(tree: ast.expr, facts: Facts, evidence: Evidence) -> dict[str, str]:
    """The names of what is not live yet, and why; ExpressionError where it is lost."""
    roots = {name: name.partition(".")[0] for name in sorted(names_in(tree))}
    drops = (call.name for call in slice_calls(tree) if call.function == DROP)
    roots |= dict.fromkeys(drops, PRODUCTION)
    absent = {}
    for name, root in roots.items():
        if root in evidence.lost:
            raise ExpressionError(evidence.lost[root])
        if root in LIVE_ROOTS and not facts.get(root):
            absent[name] = (
                "no run is the baseline yet; `mlbench baseline RUN` makes one"
                if root == "baseline"
                else f"nothing is live in {root} yet"
            )
    return absent


def _check_names(tree: ast.expr, facts: Facts) -> None:
    """MissingFactError or ExpressionError unless every name has a value that is no NaN."""
    for name in sorted(names_in(tree)):
        try:
            value = look_up(name, facts)
        except MissingFactError as error:
            raise MissingFactError(name, f"{error}{_meant(name, facts)}") from None
        if isinstance(value, float) and math.isnan(value):
            raise ExpressionError(f"{name} is NaN")


def _meant(name: str, facts: Facts) -> str:
    """The nearest name that has a value, as a question; or why this one can't have any."""
    root, _, rest = name.partition(".")
    if root == EXPORT_ROOT and rest in BESIDE_ORIGINAL and facts.get(root):
        return (
            ": there is no original to compare the exported model with; "
            "gate what it scores instead, such as onnx.accuracy"
        )
    if rest and root in facts:
        return nearest(rest, facts[root])
    bare = (known for root in ("metrics", "params", "stages") for known in facts.get(root, ()))
    return nearest(name, bare)


def _weighed(
    tree: ast.expr, gate: GateSpec, evidence: Evidence, absent: dict[str, str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What each call over slices is worth, under its name, and which slices make it so.

    Calls that are absent are passed over, and those that have nothing to compare become so.
    """
    calls = [call for call in slice_calls(tree) if call.name not in absent]
    if not calls:
        return {}, ()
    # Late: numpy takes long to import, and few gates compare slices.
    from mlbench.release.slices import SliceError
    from mlbench.release.weighing import NotComparableError, weigh

    own = evidence.predictions.get(OWN)
    if own is None:
        raise ExpressionError(
            "there are no predictions to slice; a stage has to write them, and `predictions` of "
            "the model in mlbench.toml to name them"
        )
    live = evidence.predictions.get(PRODUCTION)
    weighed = {}
    for call in calls:
        if call.function == DROP and live is None:
            absent[call.name] = "what is live in production has no predictions to compare with"
            continue
        before = live() if call.function == DROP and live is not None else None
        try:
            weighed[call.name] = weigh(call, own(), before, gate.min_rows)
        except NotComparableError as error:
            absent[call.name] = str(error)
        except SliceError as error:
            raise ExpressionError(str(error)) from None
    values = {name.removeprefix(f"{SLICES}."): one.value for name, one in weighed.items()}
    return values, tuple(one.why for one in weighed.values())


def _verdict(judged: Judgement, noise: str) -> str:
    """Why it failed, or that it holds by its noise alone; nothing where it holds as it stands."""
    if judged.excused:
        return f"within the noise ({noise})"
    if judged.holds:
        return ""
    if judged.margin is None:
        return "does not hold"
    if judged.margin == 0:
        return f"is {judged.value:.4g}, which is the threshold itself"
    beyond = f", beyond the noise ({noise})" if judged.noise else ""
    return f"missed by {abs(judged.margin):.4g}{beyond}"
