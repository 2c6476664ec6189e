"""The best trials of a study as a table, or those on its Pareto front; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from mlbench.cli.sweep_plot import fitted, plain, right_cell
from mlbench.domain.best_trials import as_costs, best_of
from mlbench.domain.phrases import number, plural
from mlbench.domain.study_axes import is_number, short_names, value_text
from mlbench.domain.sweeps import Objective, StudyView, Trial

_MOST, _MOST_ON_FRONT = 5, 12
_GAP = 2
_WIDEST = 24
_NONE = "–"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: what stands above it, its cells, and how wide it is."""

    title: str
    texts: Sequence[str]
    width: int


def best_trials_lines(view: StudyView, order: Sequence[str], width: int) -> list[str]:
    """A title, the heads and a line a trial; parameters in this order, as many as fit.

    Where not all do they are called by their last parts, and the title says how many are missing.
    Nothing where no trial is complete and within its constraints.
    """
    objectives = view.study.sweep.objectives
    several = len(objectives) > 1
    trials = _front(view) if several else _best(view)
    if not trials:
        return []
    pinned = _pinned(trials, objectives, width)
    columns = _with_params(pinned, trials, {name: name for name in order}, width)
    if len(columns) < len(pinned) + len(order):
        columns = _with_params(pinned, trials, short_names(order), width)
    left_out = len(pinned) + len(order) - len(columns)
    title = "Pareto front, best in the first objective first" if several else "Best trials"
    more = f"   (no room for {plural(left_out, 'parameter')})" if left_out else ""
    cut = len(best_of(view.trials, objectives)) - len(trials) if several else 0
    rest = [f"… and {plural(cut, 'trial')} more"] if cut > 0 else []
    return [f"{title}{more}", *_table(columns), *rest]


def _pinned(trials: Sequence[Trial], objectives: Sequence[Objective], width: int) -> list[_Column]:
    """Number and values, which are always there: their spreads give way, and then their heads."""
    number_column = _column("trial", [str(trial.number) for trial in trials])
    for has_spread in (True, False):
        values = [
            _column(each.metric, [_value(trial, at, has_spread=has_spread) for trial in trials])
            for at, each in enumerate(objectives)
        ]
        least = sum(_widest(column.texts) + _GAP for column in values)
        if number_column.width + least <= width:
            break
    room = width - number_column.width
    while sum(column.width + _GAP for column in values) > room:
        broadest = max(values, key=lambda column: column.width - _widest(column.texts))
        if broadest.width <= 1:
            break
        values[values.index(broadest)] = replace(broadest, width=broadest.width - 1)
    return [number_column, *values]


def _with_params(
    pinned: Sequence[_Column], trials: Sequence[Trial], titles: Mapping[str, str], width: int
) -> list[_Column]:
    """These and the parameters for which there is room beside them."""
    columns = list(pinned)
    used = sum(column.width for column in columns) + _GAP * (len(columns) - 1)
    for name, title in titles.items():
        column = _column(title, [_param(trial, name) for trial in trials])
        if used + _GAP + column.width <= width:
            used += _GAP + column.width
            columns.append(column)
    return columns


def _best(view: StudyView) -> list[Trial]:
    """The few best, one after the other as each would be the best without those before it."""
    objectives = view.study.sweep.objectives
    numbers = set(best_of(view.trials, objectives))
    left = list(view.trials)
    found: list[Trial] = []
    while numbers and len(found) < _MOST:
        found += [trial for trial in left if trial.number in numbers]
        left = [trial for trial in left if trial.number not in numbers]
        numbers = set(best_of(left, objectives))
    return found


def _front(view: StudyView) -> list[Trial]:
    objectives = view.study.sweep.objectives
    numbers = set(best_of(view.trials, objectives))
    front = [trial for trial in view.trials if trial.number in numbers]
    return sorted(front, key=lambda trial: as_costs(trial.values, objectives))[:_MOST_ON_FRONT]


def _value(trial: Trial, at: int, *, has_spread: bool) -> str:
    value = number(trial.values[at])
    spread = trial.spread[at] if has_spread and at < len(trial.spread) else 0.0
    return f"{value} ± {number(float(f'{spread:.2g}'))}" if spread else value


def _param(trial: Trial, name: str) -> str:
    if name not in trial.params:
        return _NONE
    return plain(value_text(trial.params[name]))


def _table(columns: Sequence[_Column]) -> Iterator[str]:
    """Numbers stand at the right of their columns."""
    rights = [all(map(_is_numeric, column.texts)) for column in columns]
    for row in zip(*((column.title, *column.texts) for column in columns), strict=True):
        cells = (
            right_cell(fitted(text, min(cell_len(text), column.width)), column.width)
            if right
            else fitted(text, column.width)
            for text, column, right in zip(row, columns, rights, strict=True)
        )
        yield (" " * _GAP).join(cells).rstrip()


def _is_numeric(text: str) -> bool:
    try:
        return text == _NONE or is_number(float(text.partition(" ")[0]))
    except ValueError:
        return False


def _column(title: str, texts: Sequence[str]) -> _Column:
    return _Column(title, texts, min(_WIDEST, max(cell_len(title), _widest(texts))))


def _widest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts))
