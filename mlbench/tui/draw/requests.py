"""The request log: a line each, and one request in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from mlbench.domain.release import Signature
from mlbench.domain.serving import LoggedRequest
from mlbench.tui.board import seconds_of
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.answers import answer_word, first_row, output_lines
from mlbench.tui.draw.bitmap import bitmap_lines
from mlbench.tui.draw.empty import folded
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.draw.serving import milliseconds
from mlbench.tui.form import image_shape, numbers_of
from mlbench.tui.words import clock_time, moment

_LABEL = 10
_MOST_VALUES = 64
_MOST_ROWS = 8
_LEAST_FOR_INPUTS = 70
_ENDED = ("", "", "", "", " refused", " failed")


class RequestTable:
    """Requests measured together; lines are drawn when they are seen."""

    def __init__(self, rows: Sequence[LoggedRequest]) -> None:
        """Show these, the newest first."""
        self._rows = rows
        is_one = len({row.model for row in rows}) < 2
        self._names = [
            f"v{row.version}" if is_one else f"{row.model} v{row.version}" for row in rows
        ]
        self._name = widest(self._names)
        self._answer = min(24, widest(_answer(row) for row in rows if not row.error))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def row(self, index: int, width: int) -> Content:
        """When, which version, how it ended, how long it took, the answer, the inputs in short."""
        row = self._rows[index]
        is_good = row.status < 400
        sign: Part = ("✓", "$ok") if is_good else (f"✗ {row.status}", "bold $fail")
        label: Part = _label_part(row)
        parts: list[Part] = [
            (clock_time(seconds_of(row.at)), "$quiet"),
            *("  ", cell(self._names[index], self._name), "  ", cell(sign, 5)),
            cell((milliseconds(row.seconds), "$quiet"), 8, right=True),
            "  ",
        ]
        if row.error:
            return cell(line(*parts, (safe(row.error), "$fail")), width)
        parts += [cell((safe(_answer(row)), "bold"), self._answer), label]
        if width >= _LEAST_FOR_INPUTS and row.inputs:
            parts.append(("   " + safe(inputs_word(row.inputs)), "$quiet"))
        return cell(line(*parts), width)


def request_lines(row: LoggedRequest, signature: Signature | None, width: int) -> list[Content]:
    """One request: its facts, what went in (drawn where it is a picture), what came out."""
    facts = {
        "id": row.id,
        "when": f"{moment(seconds_of(row.at))}:{clock_time(seconds_of(row.at))[6:]}",
        "version": f"{row.model} v{row.version}",
        "status": f"{row.status}{_ENDED[min(row.status // 100, 5)]}",
        "took": milliseconds(row.seconds),
        "label": "" if row.label is None else str(row.label),
    }
    lines = [
        line(cell((name, "$quiet"), _LABEL), "  ", safe(text))
        for name, text in facts.items()
        if text
    ]
    if row.error:
        lines += [
            line((piece.plain, "bold $fail")) for piece in folded(safe(f"✗ {row.error}"), width)
        ]
    lines += [EMPTY, line(("Answer", "bold $info"))]
    if row.outputs and row.is_rows:
        lines += _record_lines(row.outputs)
    elif row.outputs:
        lines += output_lines(row.outputs, signature, width)
    else:
        lines.append(line(("none is logged", "$quiet")))
    lines += [EMPTY, line(("Inputs", "bold $info"))]
    if row.inputs is None:
        why = row.missing or "they were not logged: log_inputs is false in mlbench.toml"
        return [*lines, *(line((piece.plain, "$quiet")) for piece in folded(safe(why), width))]
    return [cell(text, width) for text in [*lines, *input_lines(row, signature, width)]]


def input_lines(row: LoggedRequest, signature: Signature | None, width: int) -> list[Content]:
    """Each tensor with its first row's values by name; a picture as such; records as they came."""
    inputs = row.inputs or ()
    if row.is_rows:
        return _record_lines(inputs)
    columns = signature.columns if signature is not None else ()
    shape = image_shape(inputs, columns) if inputs and first_row(inputs[0]) else None
    lines: list[Content] = []
    if shape is not None:
        lines += [*bitmap_lines(numbers_of(inputs), *shape, room=width), EMPTY]
    names = max(_LABEL, widest(str(tensor.get("name")) for tensor in inputs))
    for tensor in inputs:
        values = first_row(tensor)
        size = " × ".join(str(side) for side in tensor.get("shape", ()))
        name = str(tensor.get("name"))
        if len(values) == 1:
            lines.append(line(cell((name, "$quiet"), names), "  ", safe(_word(values[0]))))
            continue
        lines.append(
            line(str(tensor.get("name")), (f"  {tensor.get('datatype')} [{size}]", "$quiet"))
        )
        is_named = len(columns) == len(values) and shape is None
        shown = [
            f"{columns[at]}={_word(v)}" if is_named else _word(v) for at, v in enumerate(values)
        ]
        more = f" and {len(shown) - _MOST_VALUES} more" if len(shown) > _MOST_VALUES else ""
        text = safe(" ".join(shown[:_MOST_VALUES]) + more)
        lines += [line(("  " + piece.plain, "")) for piece in folded(text, max(8, width - 2))]
    return lines


def inputs_word(inputs: Sequence[Mapping[str, Any]]) -> str:
    """The inputs in a few words: `bill_length_mm=49.1 island=Biscoe`, `0 0 5 13 9 1 …`."""
    first = inputs[0] if inputs else {}
    if "data" not in first:
        return " ".join(f"{name}={_word(value)}" for name, value in first.items())
    if len(inputs) == 1:
        return " ".join(_word(value) for value in first_row(first)[:24])
    words = []
    for tensor in inputs:
        values = first_row(tensor)
        words.append(f"{tensor.get('name')}={' '.join(_word(value) for value in values[:4])}")
    return " ".join(words)


def text_of(row: LoggedRequest) -> str:
    """What a filter looks for its words in."""
    words = (row.id, row.model, f"v{row.version}", str(row.status), _answer(row), row.error)
    return " ".join(words).lower()


def _record_lines(records: Sequence[Mapping[str, Any]]) -> list[Content]:
    lines = [
        line(safe("  ".join(f"{name}={_word(value)}" for name, value in record.items())))
        for record in records[:_MOST_ROWS]
    ]
    more = len(records) - _MOST_ROWS
    return [*lines, *([line((f"and {more} more", "$quiet"))] if more > 0 else [])]


def _answer(row: LoggedRequest) -> str:
    if row.error or not row.outputs:
        return row.error
    if row.is_rows:
        first = row.outputs[0]
        return " ".join(_word(value) for value in list(first.values())[:1])
    return answer_word(row.outputs)


def _label_part(row: LoggedRequest) -> Part:
    """The truth that came late, and whether the answer was right."""
    if row.label is None:
        return ""
    label = row.label[0] if isinstance(row.label, list) and row.label else row.label
    is_right = _word(label) == _answer(row)
    return (" ✓" if is_right else f" ≠ {_word(label)}", "$ok" if is_right else "$warn")


def _word(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
