"""Events as lines of text: the faces only phrase what the engine says."""

from __future__ import annotations

from mlbench.cli.output import coloured
from mlbench.domain.events import (
    CandidateKept,
    Event,
    ExportStarted,
    Notice,
    Promoted,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    TrafficChanged,
    WatchChanged,
)
from mlbench.domain.ledger import ACTION_WORDS, TRAFFIC, shares_in_words
from mlbench.domain.phrases import duration, number, plural, took
from mlbench.domain.plan import Reason
from mlbench.domain.release import GateResult, Parity

_GATE_SIGNS = {True: ("✓", "ok"), False: ("✗", "fail"), None: ("–", "quiet")}
_LEVEL_COLOURS = {"info": "info", "warn": "warn", "error": "fail"}


def phrase(event: Event) -> list[str]:
    """The lines that an event is worth; none for those that only a program needs."""
    match event:
        case RunStarted():
            params = (f"{name} = {value}" for name, value in event.params.items())
            told = "  ".join((f"run {event.name}", f"{len(event.stages)} stages", *params))
            return [coloured(told, "quiet")]
        case StageStarted():
            return [f"{coloured('▶', 'info')} {event.stage}", *reason_lines(event.reasons)]
        case StageFinished():
            return _stage_lines(event)
        case ExportStarted():
            return [f"{coloured('▶', 'info')} export of {event.model} to ONNX"]
        case CandidateKept():
            parity = event.parity
            if parity is None:
                return [f"{coloured('✓', 'ok')} {event.model} is a candidate, as the file it is"]
            return [f"{coloured('✓', 'ok')} {event.model} is a candidate: {_parity(parity)}"]
        case RunFinished():
            return _run_lines(event)
        case Promoted():
            where = f" at {event.address}" if event.address else ""
            served = f"{event.environment} serves {event.model} v{event.version}"
            return [f"{coloured('✓', 'ok')} {served}{where}"]
        case TrafficChanged():
            return [f"{coloured('✓', 'ok')} {traffic_words(event)}"]
        case WatchChanged():
            words = "watching" if event.watching else "not watching"
            return [coloured(f"{words} {event.detail}".strip(), "quiet")]
        case Notice():
            return [coloured(event.message, _LEVEL_COLOURS[event.level])]
        case _:
            return []


def traffic_words(event: TrafficChanged) -> str:
    """`production: digits v3 80 %, v4 20 %`, `production: canary of digits v4`."""
    if event.action == TRAFFIC:
        shares = shares_in_words(event.weights) or f"v{event.version} alone"
        return f"{event.environment}: {event.model} {shares}"
    what = ACTION_WORDS.get(event.action, event.action)
    return f"{event.environment}: {what} of {event.model} v{event.version}"


def reason_lines(reasons: tuple[Reason, ...]) -> list[str]:
    """One indented line a reason."""
    return [f"    {coloured(reason_words(reason), 'quiet')}" for reason in reasons]


def reason_words(reason: Reason) -> str:
    """`param train.alpha  0.1 → 0.2`."""
    return f"{reason.kind.word} {reason.what}  {reason.detail}".rstrip()


def gate_line(gate: GateResult) -> str:
    """`✓ accuracy >= 0.95   0.9861  +0.0361`."""
    glyph, colour = _GATE_SIGNS[gate.passed]
    if gate.passed is False and gate.level == "warn":
        glyph, colour = "!", "warn"
    value = "" if gate.value is None else number(gate.value)
    margin = "" if gate.margin is None else f"  {gate.margin:+.3g}"
    why = f"  {gate.why}" if gate.why else ""
    return f"{coloured(glyph, colour)} {gate.gate:<42} {value:>8}{margin}{why}"


def metrics_line(metrics: dict[str, float]) -> str:
    """`accuracy 0.9861 · loss 0.115`."""
    return " · ".join(f"{name} {number(value)}" for name, value in metrics.items())


def _parity(parity: Parity) -> str:
    rows = plural(parity.rows, "row")
    if not parity.has_original:
        return f"it answers {rows}, and there is no original to compare with"
    flips = (
        f"{plural(parity.label_flips, 'label')} {'flips' if parity.label_flips == 1 else 'flip'}"
    )
    return f"parity on {rows}, largest error {number(parity.max_abs_error)}, {flips}"


def _stage_lines(event: StageFinished) -> list[str]:
    outcome = event.outcome
    shown = f"  {took(event.seconds)}".rstrip()
    tests = f"  {event.tests.passed} of {event.tests.total} tests" if event.tests else ""
    line = f"{coloured(outcome.glyph, outcome.colour)} {event.stage}  {outcome.word}{shown}{tests}"
    lines = [line, *([f"    {coloured(event.message, 'fail')}"] if event.message else [])]
    return [*lines, *(f"    {coloured(f'! {sentence}', 'warn')}" for sentence in event.advice)]


def _run_lines(event: RunFinished) -> list[str]:
    outcome = event.outcome
    ran = sum(1 for stage in event.stages.values() if stage.word in ("ran", "restored"))
    told = [
        *([event.name] if event.run else []),
        outcome.word,
        f"{ran} of {len(event.stages)} stages ran",
        duration(event.seconds),
        *([] if event.run else ["no run on record is exactly this"]),
    ]
    head = f"{coloured(outcome.glyph, outcome.colour)} {'  '.join(told)}"
    lines = [head]
    if event.metrics:
        lines.append(f"  {metrics_line(dict(event.metrics))}")
    return [*lines, *(f"  {gate_line(gate)}" for gate in event.gates)]
