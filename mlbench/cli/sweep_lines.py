"""Trials and studies as lines of text, without colour or terminal: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlbench.cli.sweep_news import Board, counts, has_ended
from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import duration, number, plural, took
from mlbench.domain.study_axes import short_names, value_text
from mlbench.domain.sweeps import Dimension, Objective, Study, Sweep, Trial

BEST = "★"
_GAP = "   "
# What a sentence of a trial's end may take of its line.
_WIDEST_REASON = 200


def trial_line(trial: Trial, sweep: Sweep, *, is_best: bool = False) -> str:
    """`17  accuracy 0.9812 ★   alpha=0.00123 hidden=64   6.1 s`: all but the glyph before it."""
    width = len(str(max(sweep.trials - 1, trial.number)))
    parts = [
        f"{trial.number:>{width}}  {_result(trial, sweep)}{f' {BEST}' if is_best else ''}",
        params_text(trial.params, sweep.space),
        took(trial.seconds),
        _remark(trial),
    ]
    return _GAP.join(part for part in parts if part)


def values_text(trial: Trial, objectives: Sequence[Objective]) -> str:
    """`accuracy 0.9812 ± 0.003 · seconds 12`: means over the repeats with their spread."""
    spread = trial.spread or (0.0,) * len(trial.values)
    return " · ".join(
        f"{objective.metric} {number(value)}{f' ± {number(around)}' if around else ''}"
        for objective, value, around in zip(objectives, trial.values, spread, strict=False)
    )


def params_text(params: Mapping[str, Any], space: Iterable[Dimension]) -> str:
    """`alpha=0.00123 hidden=64`: what can differ among trials, by the shortest names."""
    varying = {one.name for one in space if not _is_fixed(one)}
    names = short_names(params)
    return " ".join(
        f"{names[name]}={value_text(value)}"
        for name, value in params.items()
        if name in varying or not varying
    )


def status_line(board: Board, sweep: Sweep, message: str = "") -> str:
    """`7 of 30 · #8 train step 12 loss 0.31 · #9 prepare`: what runs now, on one line."""
    running = [trial for trial in board.values() if trial.state is TrialState.RUNNING]
    metric = sweep.watched.metric
    parts = [f"{has_ended(board.values())} of {sweep.trials}"]
    parts += [_at_work(trial, metric) for trial in sorted(running, key=lambda one: one.number)]
    return " · ".join(parts + ([message] if message else []))


def counts_text(trials: Iterable[Trial]) -> str:
    """`30 trials: 24 complete, 4 pruned, 2 failed`."""
    trials = list(trials)
    told = ", ".join(f"{count} {word}" for word, count in counts(trials).items() if count)
    head = plural(has_ended(trials), "trial")
    return f"{head}: {told}" if told else head


def summary_lines(
    study: Study, board: Board, best: Sequence[int], seconds: float | None = None
) -> list[str]:
    """The study in few lines: its counts, its best trial or front, and the command that comes next.

    `seconds` are those that it was followed for.
    """
    name, sweep = study.name, study.sweep
    took = f", in {duration(seconds)}" if seconds is not None else ""
    lines = [f"{name} ({study.id})  {counts_text(board.values())}{took}"]
    if not best:
        return [*lines, "no trial is complete and within its constraints, so none is the best"]
    if len(sweep.objectives) > 1:
        front = plural(len(best), "trial")
        lines.append(f"{front} on the Pareto front, where none is better in everything")
        lines += [f"  {trial_line(board[one], sweep)}" for one in best]
        return [*lines, f"`mlbench sweep {name} --apply TRIAL` writes one's params down"]
    trial = board[best[0]]
    lines.append(
        f"best is trial {trial.number}: {values_text(trial, sweep.objectives)}{_gates(trial)}"
    )
    width = max(map(len, trial.params), default=0)
    lines += [f"  {key:<{width}}  {value_text(value)}" for key, value in trial.params.items()]
    return [*lines, f"`mlbench sweep {name} --apply` writes its params into the params file"]


def _result(trial: Trial, sweep: Sweep) -> str:
    if trial.state is TrialState.COMPLETE:
        return values_text(trial, sweep.objectives)
    if trial.intermediate is None or trial.step is None:
        return trial.state.word
    metric = sweep.watched.metric
    return f"{trial.state.word} at step {trial.step}, {metric} {number(trial.intermediate)}"


def _remark(trial: Trial) -> str:
    """Why it ended as it did, or what keeps it from being the best."""
    if trial.state is TrialState.LOST:
        return trial.reason or "its process is gone; it is tried again"
    if trial.state is TrialState.COMPLETE:
        broken = [text for text, value in trial.constraints.items() if value > 0]
        said = [f"breaks {text}" for text in broken]
        return ", ".join(said + (["gates don't hold"] if trial.gates_hold is False else []))
    return " ".join(trial.reason.split())[:_WIDEST_REASON]


def _gates(trial: Trial) -> str:
    said = {True: "; its gates hold", False: "; its gates don't hold", None: ""}
    return said[trial.gates_hold]


def _at_work(trial: Trial, metric: str) -> str:
    at = f"#{trial.number} {trial.stage}".rstrip()
    if trial.step is None:
        return at
    value = "" if trial.intermediate is None else f" {metric} {number(trial.intermediate)}"
    return f"{at} step {trial.step}{value}"


def _is_fixed(dimension: Dimension) -> bool:
    if dimension.range is not None:
        return dimension.range.low == dimension.range.high
    return len(dimension.choices) == 1
