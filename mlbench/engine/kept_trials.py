"""Which trials' artifacts are worth their room: most of them only led to the best."""

from __future__ import annotations

from mlbench.domain.best_trials import best_of
from mlbench.domain.plain import from_plain
from mlbench.domain.sweeps import Study, Trial
from mlbench.project.layout import Layout
from mlbench.system.files import entries_in, read_json
from mlbench.system.journal import read_lines

_KEPT = 5


def best_runs(layout: Layout) -> frozenset[str]:
    """The ids of the runs of each study's best five trials, or of those on its Pareto front.

    Of the files of a study (see `sweeping/files.py`) it reads what it is and its board; one whose
    files can't be read has none.
    """
    found: set[str] = set()
    for folder in entries_in(layout.studies):
        try:
            study = from_plain(Study, read_json(folder / "study.json"))
            board = [from_plain(Trial, line) for line in read_lines(folder / "trials.jsonl")]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        trials = {trial.number: trial for trial in board}
        best = best_of(trials.values(), study.sweep.objectives, _KEPT)
        found.update(run for number in best for run in trials[number].runs)
    return frozenset(found)
