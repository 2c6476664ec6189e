"""The gates with their values and margins, one line each, or with all that there is to say."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.domain.release import GateResult
from mlbench.domain.runs import TestCounts
from mlbench.tui.draw.lines import Part, cell, line, widest
from mlbench.tui.words import signed

_LEAST_GATE = 12
_LEAST_WORDS = 16


def gate_sign(gate: GateResult) -> tuple[str, str]:
    """✓ holds, ✗ refuses, ! warns, – does not apply."""
    if gate.passed is None:
        return "–", "$quiet"
    if gate.passed:
        return "✓", "$ok"
    return ("✗", "bold $fail") if gate.refuses else ("!", "bold $warn")


def gate_lines(
    gates: Sequence[GateResult], width: int, tests: TestCounts | None = None
) -> list[Content]:
    """Sign, gate, value and margin; where there is no room, the gate's text gives way.

    `tests` are the counts shown for a gate that asks whether tests passed.
    """
    values = [_value(gate, tests) for gate in gates]
    margins = [_margin(gate) for gate in gates]
    value_width, margin_width = widest(values), widest(margins)
    room = width - 2 - value_width - margin_width - 4
    if room < _LEAST_GATE:
        value_width, room = 0, width - 2 - margin_width - 2
    rows = []
    for gate, value, margin in zip(gates, values, margins, strict=True):
        style = gate_sign(gate)[1]
        if gate.passed is None:
            rows.append(_not_applied(gate, width))
            continue
        parts = [line(gate_sign(gate), " "), cell(gate.gate, max(room, 1))]
        if value_width:
            parts += [line("  "), cell(value, value_width, right=True)]
        parts += [line("  "), cell((margin, style), margin_width, right=True)]
        rows.append(line(*parts))
    return rows


def gates_by_model(
    gates: Sequence[GateResult], width: int, tests: TestCounts | None = None
) -> list[Content]:
    """As `gate_lines`, below the name of each model where there are several."""
    models = dict.fromkeys(gate.model for gate in gates)
    if len(models) < 2:
        return gate_lines(gates, width, tests)
    lines: list[Content] = []
    for model in models:
        its = [gate for gate in gates if gate.model == model]
        lines += [cell((model, "bold $info"), width), *gate_lines(its, width, tests)]
    return lines


def told_gates(
    gates: Sequence[GateResult], width: int, tests: TestCounts | None = None
) -> list[Content]:
    """As `gate_lines`, and below each what it has to say: the worst slice, noise, why it failed."""
    lines: list[Content] = []
    for gate, row in zip(gates, gate_lines(gates, width, tests), strict=True):
        lines.append(row)
        style = "$fail" if gate.refuses else "$warn" if gate.passed is False else "$quiet"
        if gate.passed is None and gate.why in row.plain:
            continue
        for said in _remarks(gate):
            lines += [
                line("  ", (piece.plain, style))
                for piece in Content(said).wrap(max(_LEAST_WORDS, width - 2))
            ]
    return lines


def gates_in_short(gates: Sequence[GateResult]) -> list[Part]:
    """`✓ 5 of 5  +.021`, the margin the tightest; or by how much the first that fails does."""
    if not gates:
        return [("no gates", "$quiet")]
    applied = [gate for gate in gates if gate.passed is not None]
    held = sum(gate.passed is True for gate in applied)
    failing = sorted((g for g in applied if g.passed is False), key=lambda g: not g.refuses)
    counted = f"{held} of {len(applied)}"
    if not failing:
        margin = tightest(applied)
        least = f"  {signed(margin)}" if margin is not None else ""
        return [("✓ ", "$ok"), counted, (least, "$ok")]
    sign, style = gate_sign(failing[0])
    said = f"{_margin(failing[0])} {failing[0].gate}"
    return [(f"{sign} ", style), f"{counted}  ", (said, style)]


def tightest(gates: Sequence[GateResult]) -> float | None:
    """The margin that is the smallest beside its own threshold; None where none has one."""
    known = [
        (abs(gate.margin) / (abs(gate.threshold or 0.0) or 1.0), gate.margin)
        for gate in gates
        if gate.margin is not None and gate.level == "error"
    ]
    return min(known)[1] if known else None


def _remarks(gate: GateResult) -> list[str]:
    """What stands in no column: the reason, unless the margin says it already, and the noise."""
    is_said = gate.margin is not None and gate.why == f"missed by {abs(gate.margin):.4g}"
    remarks = [] if is_said or not gate.why or gate.why == "does not hold" else [gate.why]
    if gate.noise is not None and "noise" not in gate.why:
        remarks.append(f"equal runs lie up to ±{number(gate.noise)} apart by chance")
    return remarks


def _not_applied(gate: GateResult, width: int) -> Content:
    text = line(gate_sign(gate), (f" {gate.gate}  {gate.why}", "$quiet"))
    if text.cell_length <= width:
        return text
    short = cell((gate.gate, "$quiet"), max(1, width - 11))
    return cell(line(gate_sign(gate), " ", short, ("  not yet", "$quiet")), width)


def _value(gate: GateResult, tests: TestCounts | None) -> str:
    if gate.value is not None:
        return number(gate.value)
    if tests is not None and gate.gate.endswith(".passed"):
        return f"{tests.passed} of {tests.total}"
    return ""


def _margin(gate: GateResult) -> str:
    if gate.margin is not None:
        return signed(gate.margin)
    return "holds" if gate.passed else "fails" if gate.passed is False else ""
