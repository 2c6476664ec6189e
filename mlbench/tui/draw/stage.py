"""The stage under the cursor: how it stands, why it runs, what it logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from mlbench.domain.curves import Curve
from mlbench.domain.outcomes import StageOutcome, StageState
from mlbench.domain.phrases import clock, duration, number
from mlbench.tui.board import Phase, StageView
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.curve import braille, scale_of
from mlbench.tui.draw.lanes import bar, stage_sign
from mlbench.tui.draw.lines import EMPTY, Part, cell, joined, line, widest
from mlbench.tui.draw.reasons import in_full

_MOST_REASONS = 6
_MOST_ADVICE = 3
_LABEL_WIDTH = 5
_LEAST_CURVE_WIDTH = 30
_CURVE_GAP = 3
_FALLING = ("loss", "error", "err", "mse", "rmse", "mae", "perplexity", "deviance")
_RISING = ("acc", "accuracy", "f1", "auc", "recall", "precision", "r2", "score")


def stage_head(
    stage: StageView, curves: Sequence[Curve], width: int, height: int, now: float
) -> list[Content]:
    """Everything above the log, in at most `height` lines: state, trouble, reasons, curves."""
    lines = [_state_line(stage, width, now)]
    lines += [line((text, "$fail")) for text in _wrapped(safe(stage.message), width, 3)]
    reasons = stage.reasons if stage.reasons and _is_stale(stage) else stage.because
    lines += _why_lines(in_full(reasons))
    lines += _advice_lines(stage.advice, width)
    metrics = _metric_lines(stage, curves, width)
    lines += metrics
    room = height - len(lines)
    if curves and room >= 4:
        lines += [EMPTY, *curve_lines(curves, width, room - 1)]
    return lines[: max(1, height)]


def curve_lines(curves: Sequence[Curve], width: int, height: int) -> list[Content]:
    """The curves side by side, as many rows of them as there is room for."""
    abreast = min(len(curves), max(1, (width + _CURVE_GAP) // (_LEAST_CURVE_WIDTH + _CURVE_GAP)))
    each = (width - _CURVE_GAP * (abreast - 1)) // abreast
    decks = -(-len(curves) // abreast)
    fitting = max(1, min(decks, (height + 1) // 5))
    tall = max(3, min(8, (height + 1) // fitting - 1))
    lines: list[Content] = []
    for deck in range(fitting):
        row = curves[deck * abreast : (deck + 1) * abreast]
        blocks = [curve_block(curve, each, tall) for curve in row]
        lines += [EMPTY] if deck else []
        lines += [joined(parts, " " * _CURVE_GAP) for parts in zip(*blocks, strict=True)]
    return lines[:height]


def curve_block(curve: Curve, width: int, height: int) -> list[Content]:
    """A title with the last and the best value, and the curve below with its scale."""
    best, step = (curve.high, curve.high_step) if rises(curve) else (curve.low, curve.low_step)
    title = line(
        (curve.name, "bold"),
        " ",
        number(curve.last),
        (f"  best {number(best)} at {step}", "$quiet"),
    )
    scale = scale_of(curve.columns)
    labels = [number(scale[1]), number(scale[0])] if scale else ["", ""]
    label_width = widest(labels)
    rows = height - 1
    drawn = braille(curve.columns, max(1, width - label_width - 1), rows, scale)
    marks = [labels[0], *[""] * (rows - 2), labels[1]] if rows > 1 else [labels[0]]
    body = [
        line((cell(text, label_width, right=True).plain, "$quiet"), " ", (dots, "$info"))
        for text, dots in zip(marks, drawn, strict=True)
    ]
    return [cell(title, width), *(cell(row, width) for row in body)]


def rises(curve: Curve) -> bool:
    """Whether more is better, by the metric's name; else by which way it went."""
    words = curve.name.replace("/", "_").replace(".", "_").replace("-", "_").lower().split("_")
    if any(word in _FALLING for word in words):
        return False
    if any(word in _RISING for word in words):
        return True
    return curve.last >= (curve.low + curve.high) / 2


def _is_stale(stage: StageView) -> bool:
    return stage.phase in (Phase.IDLE, Phase.WAITING) and stage.outcome is None


def _state_line(stage: StageView, width: int, now: float) -> Content:
    sign, style = stage_sign(stage)
    head = line((f"{sign} ", style))
    if stage.phase is Phase.RUNNING:
        elapsed = now - (stage.started or now)
        words = line((f"running {clock(elapsed)}", "bold"))
        if not stage.usual_seconds:
            return line(head, words, (", its first time", "$quiet"))
        about = line((f" of about {clock(stage.usual_seconds)}  ", "$quiet"))
        room = width - head.cell_length - words.cell_length - about.cell_length
        return line(head, words, about, bar(elapsed / stage.usual_seconds, max(4, min(24, room))))
    if stage.phase is Phase.WAITING:
        return line(head, ("waits for what comes before it", "$quiet"))
    if stage.outcome is not None:
        return line(head, *_ended(stage))
    if stage.state in (None, StageState.FRESH):
        return line(head, "fresh", ("  its outputs came from exactly these inputs", "$quiet"))
    return line(head, (stage.state.word if stage.state else "", style), ("  has to run", "$quiet"))


def _ended(stage: StageView) -> list[Part]:
    took: Part = (f" after {duration(stage.seconds)}", "$quiet")
    match stage.outcome:
        case StageOutcome.RAN:
            parts: list[Part] = [f"ran in {duration(stage.seconds)}"]
        case StageOutcome.UNCHANGED:
            parts = ["unchanged", ("  no input moved", "$quiet")]
        case StageOutcome.RESTORED:
            parts = ["restored", ("  from the cache: it ran on these inputs before", "$quiet")]
        case StageOutcome.FAILED:
            parts = [("failed", "bold $fail"), took]
        case StageOutcome.BLOCKED:
            parts = [("blocked", "$warn"), ("  something before it failed", "$quiet")]
        case StageOutcome.OVERTAKEN:
            parts = [("overtaken", "$warn"), ("  an input changed while it ran", "$quiet")]
        case _:
            parts = [("cancelled", "$warn"), took]
    if stage.tests is not None:
        counts = stage.tests
        style = "$fail" if counts.failed else "$ok"
        parts += ["  ", (f"{counts.passed} of {counts.total} tests passed", style)]
        parts += [f", {counts.skipped} skipped"] if counts.skipped else []
    return parts


def _why_lines(reasons: Sequence[Content]) -> list[Content]:
    shown = list(reasons[:_MOST_REASONS])
    if len(reasons) > _MOST_REASONS:
        shown.append(line((f"and {len(reasons) - _MOST_REASONS} more", "$quiet")))
    return [
        line(("why  " if index == 0 else "     ", "$quiet"), reason)
        for index, reason in enumerate(shown)
    ]


def _advice_lines(advice: Sequence[str], width: int) -> list[Content]:
    """What the stage should declare, the line to add to mlbench.toml in full where it fits."""
    lines: list[Content] = []
    for sentence in advice[:_MOST_ADVICE]:
        wrapped = _wrapped(safe(sentence), max(1, width - _LABEL_WIDTH), 3)
        for index, text in enumerate(wrapped):
            label = "!    " if index == 0 else " " * _LABEL_WIDTH
            lines.append(line((label, "$warn"), (text, "$warn")))
    if len(advice) > _MOST_ADVICE:
        more = len(advice) - _MOST_ADVICE
        lines.append(
            line((f"{' ' * _LABEL_WIDTH}and {more} more; the run's events have all", "$quiet"))
        )
    return lines


def _metric_lines(stage: StageView, curves: Sequence[Curve], width: int) -> list[Content]:
    drawn = {curve.name for curve in curves}
    plain: Mapping[str, float] = {
        name: value for name, value in stage.metrics.items() if name not in drawn
    }
    lines: list[Content] = []
    current = EMPTY
    for name, value in plain.items():
        item = line((name, "$quiet"), " ", number(value))
        longer = joined([current, item], "   ")
        if longer.cell_length > width and current.plain:
            lines.append(current)
            current = item
        else:
            current = longer
    return [*lines, current][:3] if current.plain else lines[:3]


def _wrapped(text: str, width: int, most: int) -> list[str]:
    lines = [
        piece.plain for part in text.splitlines() if part for piece in Content(part).wrap(width)
    ]
    return lines[:most]
