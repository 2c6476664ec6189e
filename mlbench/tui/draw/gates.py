"""The gates with their values and margins, one line each."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.domain.release import GateResult
from mlbench.domain.runs import TestCounts
from mlbench.tui.draw.lines import cell, line, widest
from mlbench.tui.words import missed, signed

_LEAST_GATE = 12


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


def gates_in_short(gates: Sequence[GateResult]) -> Content:
    """`✓ 5 of 5`, or the first that refuses and by how much."""
    applied = [gate for gate in gates if gate.passed is not None]
    held = sum(gate.passed is True for gate in applied)
    if not gates:
        return line(("no gates", "$quiet"))
    failing = sorted((g for g in applied if g.passed is False), key=lambda g: not g.refuses)
    counted = f"{held} of {len(applied)}"
    if not failing:
        return line(("✓ ", "$ok"), counted)
    sign = gate_sign(failing[0])
    return line((f"{sign[0]} ", sign[1]), f"{counted}  ", (missed(failing[0]), sign[1]))


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
