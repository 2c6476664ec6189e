"""The best trials of a study as a table, or those on its Pareto front; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from mlbench.cli.sweep_plot import fitted, plain, right_cell
from mlbench.domain.best_trials import as_costs, best_of
from mlbench.domain.phrases import number, plural
from mlbench.domain.study_axes import is_number, value_text
from mlbench.domain.sweeps import StudyView, Trial

_MOST, _MOST_ON_FRONT = 5, 12
_GAP = 2
_WIDEST = 24
_NONE = "–"


def best_trials_lines(view: StudyView, order: Sequence[str], width: int) -> list[str]:
    """A title, the heads and a line a trial; parameters in this order, as many as fit.

    Nothing where no trial is complete and within its constraints.
    """
    objectives = view.study.sweep.objectives
    several = len(objectives) > 1
    trials = _front(view) if several else _best(view)
    if not trials:
        return []
    columns = [("trial", [str(trial.number) for trial in trials])]
    for at, objective in enumerate(objectives):
        columns.append((objective.metric, [_value(trial, at) for trial in trials]))
    room = width - sum(_width(column) + _GAP for column in columns)
    left_out = 0
    for name in order:
        column = (name, [_param(trial, name) for trial in trials])
        if _width(column) + _GAP > room:
            left_out += 1
            continue
        room -= _width(column) + _GAP
        columns.append(column)
    title = "Pareto front, best in the first objective first" if several else "Best trials"
    more = f"   (no room for {plural(left_out, 'parameter')})" if left_out else ""
    cut = len(best_of(view.trials, objectives)) - len(trials) if several else 0
    rest = [f"… and {plural(cut, 'trial')} more"] if cut > 0 else []
    return [f"{title}{more}", *_table(columns), *rest]


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


def _value(trial: Trial, at: int) -> str:
    value = number(trial.values[at])
    spread = trial.spread[at] if at < len(trial.spread) else 0.0
    return f"{value} ± {number(float(f'{spread:.2g}'))}" if spread else value


def _param(trial: Trial, name: str) -> str:
    if name not in trial.params:
        return _NONE
    return plain(value_text(trial.params[name]))


def _table(columns: Sequence[tuple[str, list[str]]]) -> Iterator[str]:
    """Numbers stand at the right of their columns."""
    rights = [all(_is_numeric(text) for text in texts) for _, texts in columns]
    for row in zip(*([name, *texts] for name, texts in columns), strict=True):
        cells = (
            right_cell(fitted(text, min(cell_len(text), wide)), wide)
            if right
            else fitted(text, wide)
            for text, wide, right in zip(row, map(_width, columns), rights, strict=True)
        )
        yield (" " * _GAP).join(cells).rstrip()


def _is_numeric(text: str) -> bool:
    try:
        return text == _NONE or is_number(float(text.partition(" ")[0]))
    except ValueError:
        return False


def _width(column: tuple[str, list[str]]) -> int:
    name, texts = column
    return min(_WIDEST, max(map(cell_len, (name, *texts))))
