"""A finished run in one sentence: what changed, and what it did to the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from mlbench.domain.events import RunFinished
from mlbench.domain.outcomes import ReasonKind, RunOutcome, StageOutcome
from mlbench.domain.phrases import duration, number
from mlbench.domain.plan import Reason
from mlbench.domain.runs import Run, Scalar
from mlbench.tui.board import Board
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.lines import Part, joined, line
from mlbench.tui.draw.reasons import in_short, main_reason
from mlbench.tui.words import arrow, missed, scalar

_BETWEEN = (" · ", "$quiet")
_MOST_PARAMS = 2
_MOST_METRICS = 3


def changed_params(
    params: Mapping[str, Scalar], before: Mapping[str, Scalar] | None
) -> list[tuple[str, str, str]]:
    """(name, was, is) for every parameter that differs; nothing where there is no run before."""
    if before is None:
        return []
    names = dict.fromkeys((*params, *before))
    return [
        (
            name,
            scalar(before[name]) if name in before else "none",
            scalar(params[name]) if name in params else "none",
        )
        for name in names
        if name not in before or name not in params or before[name] != params[name]
    ]


def objective_metric(objective: str | None) -> tuple[str | None, int]:
    """The metric of an objective such as `maximize accuracy`, and +1 or -1 for its direction."""
    direction, _, metric = (objective or "").strip().partition(" ")
    return (metric.strip() or None), (-1 if direction == "minimize" else 1)


def finished(run: Run) -> RunFinished:
    """A recorded run as the event that told of its end."""
    outcomes = {name: stage.outcome for name, stage in run.stages.items() if stage.outcome}
    outcome = run.outcome or RunOutcome.CANCELLED
    return RunFinished(
        run.started, run.id, run.name, outcome, run.seconds, outcomes, run.metrics, ()
    )


def story(
    board: Board, run: Run | None, before: Run | None, objective: str | None, width: int
) -> Content:
    """The last finished run in one sentence of this width, with as many metrics as there is room.

    `run` is its record and `before` that of the run that passed before it, where they exist.
    """
    last = board.last
    if last is None:
        return line("")
    ran = [name for name, outcome in last.stages.items() if outcome is not StageOutcome.UNCHANGED]
    if last.outcome is RunOutcome.PASSED and not ran:
        if not last.stages:
            return line("")
        kept: Part = (f"; {last.name}'s results stand", "$quiet") if last.run else ""
        return line(("= ", "$quiet"), "nothing had to run", kept)
    head = line((f"{last.outcome.glyph} ", f"bold ${last.outcome.colour}"), (last.name, "bold"))
    if last.outcome is not RunOutcome.PASSED:
        return joined([line(head, " ", _trouble(board, last)), _took(last, ran)], _BETWEEN)
    recorded = run if run is not None and run.id == last.run else None
    cause = joined([head, _cause(board, recorded, before)], "  ")
    metrics = _metrics(last.metrics, before.metrics if before else {}, objective)
    refusing = [gate for gate in last.gates if gate.refuses]
    gates = line((f"✗ {missed(refusing[0])}", "$fail")) if refusing else line("")
    took = _took(last, ran)
    for count in range(len(metrics), 0, -1):
        told = joined([cause, gates, *metrics[:count], took], _BETWEEN)
        if told.cell_length <= width:
            return told
    return joined([cause, gates, *metrics[:1]], _BETWEEN)


def _cause(board: Board, run: Run | None, before: Run | None) -> Content:
    changes = changed_params(run.params, before.params if before else None) if run else []
    if changes:
        shown = [line(name, f" {was} → {now}") for name, was, now in changes[:_MOST_PARAMS]]
        more = len(changes) - _MOST_PARAMS
        return joined([*shown, line(f"+{more} params" if more > 0 else "")], ", ")
    reasons: Sequence[Reason] = [
        reason
        for stage in board.stages
        for reason in stage.because
        if reason.kind is not ReasonKind.UPSTREAM
    ]
    main = main_reason(reasons)
    if main is None or main.kind is ReasonKind.NEW:
        return line("first build" if main else "")
    return line(in_short((main,)))


def _metrics(
    metrics: Mapping[str, float], before: Mapping[str, float], objective: str | None
) -> list[Content]:
    wanted, direction = objective_metric(objective)
    moved = [name for name in metrics if name in before and metrics[name] != before[name]]
    moved.sort(key=lambda name: -abs(metrics[name] - before[name]))
    # One class of many is rarely the news, so metrics without a dot in their name come first.
    moved.sort(key=lambda name: "." in name)
    first = [wanted] if wanted in metrics else []
    names = list(dict.fromkeys([*first, *moved, *metrics]))[: _MOST_METRICS if first else 2]
    shown = []
    for name in names:
        if name is None:
            continue
        parts: list[Part] = [f"{name} ", (number(metrics[name]), "bold")]
        if name in before:
            difference = metrics[name] - before[name]
            good = difference * direction > 0
            style = "$quiet" if not difference or name != wanted else "$ok" if good else "$warn"
            parts += [" ", (arrow(difference), style)]
        shown.append(line(*parts))
    return shown


def _trouble(board: Board, last: RunFinished) -> Content:
    failed = [name for name, outcome in last.stages.items() if outcome is StageOutcome.FAILED]
    if last.outcome is RunOutcome.FAILED and failed:
        stage = board.stage(failed[0])
        said = safe(stage.message).partition("\n")[0] if stage else ""
        return line(
            ("failed", "bold $fail"), f" at {failed[0]}", (f": {said}" if said else "", "$fail")
        )
    return line((last.outcome.word, f"${last.outcome.colour}"))


def _took(last: RunFinished, ran: Sequence[str]) -> Content:
    started = [
        name
        for name in ran
        if last.stages[name] not in (StageOutcome.BLOCKED, StageOutcome.RESTORED)
    ]
    return line(
        (f"{len(started)} of {len(last.stages)} stages ran, {duration(last.seconds)}", "$quiet")
    )
