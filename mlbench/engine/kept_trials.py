"""Which trials' artifacts are worth their room: most of them only led to the best."""

from __future__ import annotations

from mlbench.domain.best_trials import best_of
from mlbench.engine.study_files import all_studies
from mlbench.project.layout import Layout

_KEPT = 5


def best_runs(layout: Layout) -> frozenset[str]:
    """The ids of the runs of each study's best five trials, or of those on its Pareto front.

    A study whose files can't be read has none.
    """
    found: set[str] = set()
    for files in all_studies(layout):
        study = files.study()
        if study is None:
            continue
        trials = files.trials()
        best = best_of(trials.values(), study.sweep.objectives, _KEPT)
        found.update(run for number in best for run in trials[number].runs)
    return frozenset(found)
