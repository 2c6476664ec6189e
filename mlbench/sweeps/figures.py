"""A study's figures by Optuna's own plotly, as pages that load nothing from the network.

plotly.js, some megabytes, lies beside the pages once, and index.html links them all.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna.visualization as plots
from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from plotly.offline import get_plotlyjs

from mlbench.domain.phrases import plural
from mlbench.sweeps.importances import (
    PED_ANOVA,
    complete,
    evaluator_for,
    evaluator_name,
    target_of,
    too_little,
)
from mlbench.sweeps.quiet import quietly

SCRIPT, INDEX = "plotly.min.js", "index.html"
# Each pair of parameters is a panel: of more than these nothing can be read.
_MOST_PAIRED = 4
# It has axes in space at most.
_MOST_OBJECTIVES = 3
_CONFIG = {"displaylogo": False, "responsive": True}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44em;margin:2em auto;padding:0 1em}"
    "@media(prefers-color-scheme:dark)"
    "{body{background:#111;color:#ddd}a{color:#8bf}}"
)


@dataclass(frozen=True, slots=True)
class Page:
    """One figure: its file's name without the ending, its title, and what draws it."""

    name: str
    title: str
    draw: Callable[[], Any]


def write_figures(study: Study, folder: Path, metrics: Sequence[str]) -> tuple[Path, ...]:
    """Write every figure that there are trials for; the index is the first of what is given.

    `metrics` names the objectives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[tuple[Page, Path]] = []
    with quietly():
        for page in pages(study, metrics):
            path = folder / f"{page.name}.html"
            text = page.draw().to_html(include_plotlyjs="directory", config=_CONFIG)
            path.write_text(_titled(text, page.title, study.study_name), encoding="utf-8")
            written.append((page, path))
    (folder / SCRIPT).write_text(get_plotlyjs(), encoding="utf-8")
    index = folder / INDEX
    index.write_text(_index(study, [page for page, _ in written]), encoding="utf-8")
    return (index, *(path for _, path in written))


def pages(study: Study, metrics: Sequence[str]) -> Iterator[Page]:
    """Those figures that there are trials for: of each objective, and of the study as a whole."""
    several = len(metrics) > 1
    if several and complete(study, 0):
        names = list(metrics)
        yield Page(
            "pareto-front",
            "Pareto front",
            lambda: _pareto_front(study, names),
        )
    for objective, metric in enumerate(metrics):
        suffix = f"-{objective + 1}" if several else ""
        for name, title, draw in _of_objective(study, objective, metric):
            yield Page(f"{name}{suffix}", f"{title} of {metric}", draw)
    if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        yield Page(
            "intermediate-values",
            "Values by step",
            lambda: plots.plot_intermediate_values(study),
        )
    if any(trial.datetime_start for trial in study.get_trials(deepcopy=False)):
        yield Page("timeline", "When the trials ran", lambda: plots.plot_timeline(study))


def _of_objective(
    study: Study, objective: int, metric: str
) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    trials = complete(study, objective)
    if not trials:
        return
    # Without a target where that can be: Optuna then knows which way is better.
    named: dict[str, Any] = {"target": target_of(study, objective), "target_name": metric}
    yield "history", "History", lambda: plots.plot_optimization_history(study, **named)
    if not too_little(trials, objective, metric):
        evaluator, looked_at = evaluator_for(study, evaluator_name(trials), objective, len(trials))
        by = {**named, "evaluator": evaluator, "target": looked_at}
        yield "importances", "Importances", lambda: plots.plot_param_importances(study, **by)
    yield "slice", "Slices", lambda: plots.plot_slice(study, **named)
    paired = _paired(study, trials, objective)
    if len(paired) > 1:
        yield "contour", "Contours", lambda: plots.plot_contour(study, paired, **named)
        yield "rank", "Ranks", lambda: plots.plot_rank(study, paired, **named)
    yield (
        "parallel-coordinates",
        "Parallel coordinates",
        lambda: plots.plot_parallel_coordinate(study, **named),
    )
    yield "edf", "Distribution", lambda: plots.plot_edf(study, **named)


def _pareto_front(study: Study, metrics: list[str]) -> Any:
    if len(metrics) <= _MOST_OBJECTIVES:
        return plots.plot_pareto_front(study, target_names=metrics)
    return plots.plot_pareto_front(
        study,
        target_names=metrics[:_MOST_OBJECTIVES],
        targets=lambda trial: trial.values[:_MOST_OBJECTIVES],
    )


def _paired(study: Study, trials: Sequence[FrozenTrial], objective: int) -> list[str]:
    """The parameters that took several values; of many those that matter most."""
    tried: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            tried.setdefault(name, set()).add(repr(value))
    varied = [name for name, values in tried.items() if len(values) > 1]
    if len(varied) <= _MOST_PAIRED:
        return varied
    evaluator, target = evaluator_for(study, PED_ANOVA, objective, len(trials))
    ranked = evaluator.evaluate(study, varied, target=target)
    return sorted(varied, key=lambda name: -ranked[name])[:_MOST_PAIRED]


def _titled(page: str, title: str, name: str) -> str:
    """The page under a name of its own, where the browser's tab shows it."""
    return page.replace("<head>", f"<head><title>{html.escape(f'{title} · {name}')}</title>", 1)


def _index(study: Study, drawn: Sequence[Page]) -> str:
    name = html.escape(study.study_name)
    trials = study.get_trials(deepcopy=False)
    told = ", ".join(
        f"{count} {state.name.lower()}"
        for state in TrialState
        if (count := sum(trial.state == state for trial in trials))
    )
    rows = "".join(
        f'<li><a href="{page.name}.html">{html.escape(page.title)}</a></li>\n' for page in drawn
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>\n'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body>\n'
        f"<h1>{name}</h1>\n<p>{plural(len(trials), 'trial')}{f': {told}' if told else ''}</p>\n"
        f"<ul>\n{rows}</ul>\n</body></html>\n"
    )
