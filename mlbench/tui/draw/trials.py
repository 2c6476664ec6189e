"""The table of a study's trials: its columns, and what a cell says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from textual.content import Content

from mlbench.domain.outcomes import TrialState
from mlbench.domain.phrases import duration, number
from mlbench.domain.study_axes import value_text
from mlbench.domain.sweeps import Study, Trial
from mlbench.tui.draw.ansi import safe
from mlbench.tui.draw.columns import GAP, Column
from mlbench.tui.draw.lines import Part, fitted, length, line
from mlbench.tui.trial_order import (
    GATES,
    NOW,
    NUMBER,
    PARAM,
    SECONDS,
    SPREAD,
    STATE,
    VALUE,
)
from mlbench.tui.words import tabular

SIGNS = 3
_MOST_WIDTH, _MOST_TITLE, _LEAST_NOW = 24, 18, 12
_NONE: Part = ("–", "$quiet")
_STATES = tuple(TrialState)
_PINNED = 2


def title_of(key: str, study: Study) -> str:
    """What stands above a column."""
    objectives = study.sweep.objectives
    if key.startswith(VALUE):
        return objectives[int(key.removeprefix(VALUE))].metric
    if key.startswith(SPREAD):
        return "±"
    if key.startswith(PARAM):
        return key.removeprefix(PARAM + _shared([item.name for item in study.sweep.space]))
    return {NUMBER: "#", SECONDS: "took"}.get(key, key)


def columns_for(
    study: Study,
    keys: Sequence[str],
    sample: Sequence[Trial],
    width: int,
    first: int = 0,
    sort: str = NUMBER,
) -> tuple[Column, ...]:
    """The columns that fit into this width, as wide as these trials need.

    Number, state and the first value stay; `first` of the others are left out before the rest. The
    one that sorts has room for its arrow.
    """
    pinned = _PINNED + 1
    wanted = (*keys[:pinned], *keys[pinned + first :])
    columns: list[Column] = []
    room = width
    for key in wanted:
        column = _column(key, study, sample, is_sorting=key == sort)
        # Behind the last one there need be no gap.
        if column.width > room and len(columns) >= pinned:
            if key != NOW or room < _LEAST_NOW:
                break
            column = Column(key, column.title, room)
        if room <= 0:
            break
        columns.append(column)
        room -= column.width + GAP
    if columns and columns[-1].key == NOW and room > -GAP:
        last = columns[-1]
        columns[-1] = Column(last.key, last.title, last.width + room + GAP)
    return tuple(columns)


def trial_line(
    trial: Trial, columns: Sequence[Column], *, is_best: bool, now: Callable[[Trial], str] | None
) -> Content:
    """One trial in these columns, after the star of the best; `now` says how long one runs."""
    sign = ("★", "bold $ok") if is_best else ("+", "$info") if trial.is_by_hand else " "
    parts: list[Part] = [sign, " "]
    for column in columns:
        text = cell_of(column.key, trial, now)
        parts += [" " * GAP, fitted(text, column.width, right=column.right)]
    return line(*parts[:2], *parts[3:])


def cell_of(key: str, trial: Trial, now: Callable[[Trial], str] | None = None) -> Part:
    """What a cell of this column says of a trial."""
    if key.startswith(PARAM):
        name = key.removeprefix(PARAM)
        return safe(value_text(trial.params[name])) if name in trial.params else _NONE
    if key.startswith(VALUE):
        return _value(trial, int(key.removeprefix(VALUE)))
    if key.startswith(SPREAD):
        place = int(key.removeprefix(SPREAD))
        has = place < len(trial.spread)
        return (number(float(f"{trial.spread[place]:.2g}")), "$quiet") if has else _NONE
    if key == NUMBER:
        return str(trial.number)
    if key == STATE:
        state = trial.state
        return (f"{state.glyph} {state.word}", f"${state.colour}")
    if key == SECONDS:
        if trial.state is TrialState.RUNNING and now is not None:
            return (now(trial), "$accent")
        return (duration(trial.seconds), "$quiet") if trial.seconds else _NONE
    if key == GATES:
        holds = trial.gates_hold
        return _NONE if holds is None else ("✓ hold", "$ok") if holds else ("✗ fail", "$fail")
    return _now(trial)


def sample_of(trials: Sequence[Trial], most: int, best: Collection[int]) -> list[Trial]:
    """A few trials from which widths are measured, the best ones among them."""
    chosen = [trial for trial in trials[: most * 20] if trial.number in best]
    return [*trials[:: max(1, len(trials) // most)], *trials[-1:], *chosen]


def _shared(names: Sequence[str]) -> str:
    """The one table that all parameters stand in, with its dot: `train.`."""
    tables = {name.rpartition(".")[0] for name in names}
    return f"{tables.pop()}." if len(tables) == 1 and tables != {""} else ""


def _column(key: str, study: Study, sample: Sequence[Trial], *, is_sorting: bool) -> Column:
    title = title_of(key, study)
    texts = (length(cell_of(key, trial)) for trial in sample)
    least = min(_MOST_TITLE, len(title)) + is_sorting
    if key == STATE:
        least = max(len(state.word) for state in _STATES) + 2
    elif key == NOW:
        least = _LEAST_NOW
    elif key == SECONDS:
        least = 6
    width = min(_MOST_WIDTH, max([least, *texts]))
    numeric = key in (NUMBER, SECONDS) or key.startswith((VALUE, SPREAD))
    return Column(key, title, width, numeric or _is_numeric(key, sample))


def _is_numeric(key: str, sample: Sequence[Trial]) -> bool:
    if not key.startswith(PARAM):
        return False
    values = (trial.params.get(key.removeprefix(PARAM)) for trial in sample)
    return all(isinstance(value, (int, float)) for value in values if value is not None)


def _value(trial: Trial, place: int) -> Part:
    if place < len(trial.values):
        text = tabular(trial.values[place])
        return (text, "bold") if trial.is_feasible else (f"({text})", "$warn")
    # What was reported by step may be another metric than the objective: it stands by its step.
    return _NONE


def _now(trial: Trial) -> Part:
    if trial.state is TrialState.RUNNING:
        step = f" step {trial.step}" if trial.step is not None else ""
        step += f" · {tabular(trial.intermediate)}" if trial.intermediate is not None else ""
        return (f"{trial.stage or 'preparing'}{step}", "$accent")
    if trial.reason:
        style = "$fail" if trial.state is TrialState.FAILED else "$quiet"
        return (" ".join(safe(trial.reason).split()), style)
    broken = [name for name, value in trial.constraints.items() if value > 0]
    if broken:
        return (f"breaks {', '.join(broken)}", "$warn")
    if trial.state is TrialState.PRUNED and trial.step is not None:
        return (f"at step {trial.step}", "$quiet")
    return (f"from study {trial.from_study}", "$quiet") if trial.from_study else ""
