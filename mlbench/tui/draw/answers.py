"""What a model answered: outputs in words, scores as bars, and the original's answer beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content

from mlbench.domain.phrases import number
from mlbench.domain.release import Signature
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.empty import folded
from mlbench.tui.draw.lines import EMPTY, Part, cell, line, widest
from mlbench.tui.draw.serving import milliseconds

if TYPE_CHECKING:
    from mlbench.engine.serving_queries import Reply, SampleRow

_MOST_SCORES = 10
_MOST_VALUES = 12
_LABEL = 13
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SCORES = ("probabilities", "scores", "probability")
Outputs = Sequence[Mapping[str, Any]]


def reply_lines(
    reply: Reply, signature: Signature | None, sample: SampleRow | None, width: int
) -> list[Content]:
    """The version and its answer; `sample` is the row that was asked, None where it was edited."""
    took = (f" in {milliseconds(reply.seconds)}", "$quiet")
    lines = [line((f"v{reply.version}", "bold $ok"), " answered", took), EMPTY]
    lines += output_lines(reply.outputs, signature, width)
    return [*lines, EMPTY, *_beside(reply.outputs, sample, width)]


def output_lines(outputs: Outputs, signature: Signature | None, width: int) -> list[Content]:
    """Each output of the first row: the label large, scores by class as bars."""
    classes = signature.classes if signature is not None else ()
    lines: list[Content] = []
    for output in outputs:
        values = first_row(output)
        name, is_number = (
            str(output.get("name", "")),
            all(isinstance(v, int | float) for v in values),
        )
        if len(values) == len(classes) > 1 and is_number:
            lines += _bars(name, values, classes, width)
            continue
        words = " ".join(_word(value) for value in values[:_MOST_VALUES])
        more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
        pieces = folded(safe(words + more), max(8, width - _LABEL - 2))
        for index, piece in enumerate(pieces):
            label = cell((name if not index else "", "$quiet"), _LABEL)
            lines.append(line(label, "  ", (piece.plain, "bold")))
    return lines


def answer_word(outputs: Outputs | None) -> str:
    """The answer to the first row in one word: the label, else the prediction, else the first."""
    found = {str(output.get("name", "")): output for output in outputs or ()}
    names = [name for name in ("label", "prediction", *found) if name in found]
    if not names:
        return ""
    values = first_row(found[names[0]])
    return " ".join(_word(value) for value in values[:4]) + (" …" if len(values) > 4 else "")


def first_row(tensor: Mapping[str, Any]) -> list[Any]:
    """The values of a tensor's first row; of a record's prediction, itself."""
    data = tensor.get("data")
    if not isinstance(data, list):
        return []
    shape = tensor.get("shape") or [1]
    return list(data[: max(1, len(data) // max(int(shape[0]), 1))])


def _beside(outputs: Outputs, sample: SampleRow | None, width: int) -> list[Content]:
    """What the original said of the same row, and what is true."""
    if sample is None:
        said = "not asked: this is no held-out row"
        return _hung("original", [(said, "$quiet")], width)
    lines = []
    answer = answer_word(outputs)
    if sample.answer is not None:
        is_same = _is_same(sample.answer, answer)
        sign: Part = ("  ✓ the same", "$ok") if is_same else ("  ✗ not the same", "bold $fail")
        lines += _hung("original", [(sample.answer, "bold"), sign], width)
    if sample.truth is not None:
        is_right = _is_same(sample.truth, answer)
        mark: Part = ("  ✓", "$ok") if is_right else ("  ≠", "$warn")
        lines += _hung("truth", [(sample.truth, "bold"), mark], width)
    return lines


def _is_same(one: str, other: str) -> bool:
    try:
        first, second = float(one), float(other)
    except ValueError:
        return one == other
    return abs(first - second) <= 1e-4 * max(1.0, abs(first))


def _hung(label: str, parts: Sequence[Part], width: int) -> list[Content]:
    return [cell(line(cell((label, "$quiet"), _LABEL), "  ", *parts), width)]


def _bars(name: str, values: Sequence[float], classes: Sequence[str], width: int) -> list[Content]:
    """Scores with their classes, the greatest first; equal ones in the order of the classes."""
    ranked = sorted(zip(values, classes, strict=True), key=lambda pair: -pair[0])[:_MOST_SCORES]
    room = widest((label for _, label in ranked), 1)
    left = max(4, min(30, width - _LABEL - 2 - room - 10))
    top = max([abs(value) for value, _ in ranked] + [1e-12])
    lines = []
    for index, (value, label) in enumerate(ranked):
        eighths = max(0, round(value / max(top, 1.0 if top <= 1 else top) * left * 8))
        whole, part = divmod(eighths, 8)
        bar = "█" * whole + (_EIGHTHS[part] if part else "")
        head = cell((name if not index else "", "$quiet"), _LABEL)
        style = "bold" if not index else ""
        figures = f" {value:6.3f} " if abs(value) < 10 else f" {number(float(f'{value:.3g}')):>6} "
        text = line(head, "  ", cell((safe(label), style), room), figures, (bar, "$info"))
        lines.append(cell(text, width))
    return lines


def _word(value: Any) -> str:
    return number(float(f"{value:.6g}")) if isinstance(value, float) else str(value)
